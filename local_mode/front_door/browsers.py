"""What a web page of elsewhere may not do: ask this machine in its user's name."""

from urllib.parse import urlsplit

from aiohttp import web

from local_mode.front_door.shapes import Fault

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_origin(request: web.Request, host: str) -> None:
    """Raises Fault for a request of a page from elsewhere, and for one by a name that is not this machine's.

    host: that the front door listens at. A page whose own name leads to 127.0.0.1 has the origin that it asks; its name
    gives it away.
    """
    try:
        name = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        name = request.host
    ours = host not in LOOPBACK or name in LOOPBACK or name.endswith(".localhost")
    if not ours:
        raise Fault("AccessDeniedException", f"{name} is not a name of this machine: ask 127.0.0.1 or localhost", 403)
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise Fault("AccessDeniedException", f"requests of pages from {origin} are not answered", 403)
