"""What tells a form of this page from one that another page has made: a token that fits the browser's cookie."""

import hashlib
import hmac
import re
import secrets

from aiohttp import web

COOKIE = "local-mode-page"


class Tokens:
    """Tokens of this process; a front door that was started again knows none of those before."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def visitor(self, request: web.Request) -> str:
        """The cookie of a browser, or a new one; several front doors of a machine share it, each with its own key."""
        cookie = request.cookies.get(COOKIE, "")
        return cookie if re.fullmatch(r"[0-9a-f]{32}", cookie) else secrets.token_hex(16)

    def of(self, visitor: str) -> str:
        """The token of the forms that a visitor gets."""
        return hmac.new(self._key, visitor.encode(), hashlib.sha256).hexdigest()

    def fits(self, request: web.Request, token: str) -> bool:
        """Whether a form's token is that of the request's cookie."""
        return COOKIE in request.cookies and hmac.compare_digest(
            token.encode(), self.of(self.visitor(request)).encode()
        )

    def remember(self, response: web.Response, visitor: str) -> None:
        """Sends the cookie, which goes along with requests of this page alone."""
        response.set_cookie(COOKIE, visitor, httponly=True, samesite="Strict", path="/")
