"""The one error that a caller of local mode can prevent or must know about."""


class LocalModeError(Exception):
    """What was got, what is allowed, what to do; shown without a traceback."""
