"""What a decoder raises over broken bytes -> a UserError that names the file."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from polyadic.errors import PolyadicError, UserError


@contextmanager
def refusing(name: str, kind: str, only: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
    """Around calls of a decoder, which may raise anything over bytes that it did not expect.

    Raises UserError: `name` is not a readable `kind`, and the decoder's reason. A failing disk stays an OSError.
    """
    try:
        yield
    except PolyadicError:
        raise
    except only as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"{name} is not a readable {kind}: {reason or type(error).__name__}") from None
