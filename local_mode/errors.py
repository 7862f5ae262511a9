"""The error that callers of local mode can prevent, or must know about."""


class LocalModeError(Exception):
    """Its message says what was got, what is allowed and what to do; it is shown without a traceback."""
