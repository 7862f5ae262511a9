"""The page's responses: what a browser may do with them, and how long it may keep them."""

import hashlib

from aiohttp import web

from local_mode.front_door.page.assets import Asset

HEADERS = {
    "Content-Security-Policy": (  # Pico's own pictures are data: within its style sheet.
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def page(request: web.Request, text: str) -> web.Response:
    """A whole page, which a browser asks for again each time and gets only when it has changed."""
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Cookie"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return web.Response(text=text, content_type="text/html", headers=headers)


def fragment(text: str) -> web.Response:
    """Parts of a page, of this moment alone."""
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


def file(request: web.Request, asset: Asset) -> web.Response:
    """A file whose address changes with its content."""
    headers = {
        "ETag": f'"{asset.tag}"',
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    headers |= {"Content-Encoding": "gzip"} if packed else {}
    body = asset.packed if packed else asset.body
    return web.Response(body=body, headers=headers, content_type=asset.content_type, charset="utf-8")
