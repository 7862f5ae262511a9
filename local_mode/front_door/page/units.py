"""Numbers as a reader wants them: with their units, and no more digits than mean something."""

from datetime import UTC, datetime


def number(value: float) -> str:
    """A number with four digits at most."""
    return f"{value:.4g}"


def share(value: float) -> str:
    """A share as a percentage."""
    return f"{value:.1%}".replace("%", " %")


def latency(seconds: float | None) -> str:
    """A latency in milliseconds, or from one second on in seconds."""
    if seconds is None:
        return "–"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def rate(per_second: float) -> str:
    """Requests per second."""
    return f"{per_second:.1f} /s" if per_second < 100 else f"{per_second:.0f} /s"


def duration(seconds: float) -> str:
    """A time span in its two largest units."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for name, size, below, unit in (("d", 86_400, 3_600, "h"), ("h", 3_600, 60, "min"), ("min", 60, 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below} {unit}"
    return f"{whole} s"


def moment(seconds: float) -> str:
    """A time of day with its date, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
