"""What the comparison of variants refuses; this room needs no other one, so it has an error of its own."""


class VariantError(ValueError):
    """The data or an option cannot be used; the message says what was got, what is allowed and what to do."""


def require_share(name: str, value: float) -> float:
    """A number strictly between 0 and 1, such as a level of error."""
    if not 0 < value < 1:
        raise VariantError(f"{name}: got {value!r}; allowed is a number between 0 and 1, both excluded")
    return value
