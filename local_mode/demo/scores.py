"""The comparison's numbers and their table."""

from collections.abc import Iterable, Sequence

import numpy as np

from local_mode.demo.series import Series, Values
from local_mode.demo.traffic import Forecast

Row = list[str]


def mase(series: Series, forecast: Values, actuals: Values) -> float:
    """Mean absolute error in units of the seasonal naive error on what the models saw; gaps do not count."""
    return float(np.nanmean(np.abs(forecast - actuals))) / series.naive_error


def rmse(errors: Iterable[Values]) -> float:
    collected = list(errors)
    return float(np.sqrt(np.nanmean(np.concatenate(collected) ** 2))) if collected else float("nan")


def coverage(forecasts: Sequence[Forecast]) -> float:
    """Share of the actuals inside the 80 % interval."""
    inside = [(f.low <= f.actuals) & (f.actuals <= f.high) for f in forecasts]
    known = np.concatenate([~np.isnan(f.actuals) for f in forecasts])
    return float(np.concatenate(inside)[known].mean())


def comparison(forecasts: Sequence[Forecast], variants: Sequence[str], every_series: Sequence[Series]) -> str:
    """One line per variant, over the requests that it happened to get, and one of seasonal naive over all requests."""
    rmses = [f"RMSE {series.unit}" for series in every_series]
    header = ["variant", "requests", "share", "p50 ms", "p99 ms", "MASE", "80 % covers", *rmses]
    lines = [_variant_row(name, forecasts, every_series) for name in variants]
    return _aligned([header, *lines, _naive_row(forecasts, every_series)])


def paired_errors(forecasts: Sequence[Forecast], variants: Sequence[str]) -> str:
    """MASE of each variant where all of them answered the same requests."""
    means = {
        name: np.mean([mase(f.series, f.median, f.actuals) for f in forecasts if f.variant == name])
        for name in variants
    }
    return "MASE " + ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())


def _variant_row(name: str, forecasts: Sequence[Forecast], every_series: Sequence[Series]) -> Row:
    own = [forecast for forecast in forecasts if forecast.variant == name]
    if not own:
        return [name, "0", "0.00", *["-"] * (4 + len(every_series))]
    milliseconds = np.array([forecast.seconds for forecast in own]) * 1000
    return [
        name,
        str(len(own)),
        f"{len(own) / len(forecasts):.2f}",
        f"{np.percentile(milliseconds, 50):.1f}",
        f"{np.percentile(milliseconds, 99):.1f}",
        f"{np.mean([mase(f.series, f.median, f.actuals) for f in own]):.3f}",
        f"{coverage(own):.2f}",
        *[f"{rmse(f.mean - f.actuals for f in own if f.series is series):.3f}" for series in every_series],
    ]


def _naive_row(forecasts: Sequence[Forecast], every_series: Sequence[Series]) -> Row:
    naive = [forecast.series.seasonal_naive(forecast.origin, len(forecast.mean)) for forecast in forecasts]
    pairs = list(zip(forecasts, naive, strict=True))
    return [
        "seasonal naive",
        *["-"] * 4,
        f"{np.mean([mase(f.series, own, f.actuals) for f, own in pairs]):.3f}",
        "-",
        *[f"{rmse(own - f.actuals for f, own in pairs if f.series is series):.3f}" for series in every_series],
    ]


def _aligned(rows: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
