"""The page's requests: which of them are its own, and the answers to them."""

import asyncio
import re
import secrets
import traceback
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from local_mode.front_door import surroundings
from local_mode.front_door.page import responses
from local_mode.front_door.page.actions import Actions, Outcome
from local_mode.front_door.page.assets import assets
from local_mode.front_door.page.comparisons import Comparisons
from local_mode.front_door.page.forms import Form, Refused, change_of, first, read_form
from local_mode.front_door.page.fragments import Renderer, View
from local_mode.front_door.page.reading import Reader
from local_mode.front_door.page.tokens import Tokens
from local_mode.front_door.page.views import Views
from local_mode.front_door.runtime.invocations import Runtime

T = TypeVar("T")
BELOW = "/_page/"
"""No bucket can have this name."""
OVERVIEW = f"{BELOW}overview"
JOB = re.compile(rf"{BELOW}(training|tuning)/([\w-]+)")
STATIC = re.compile(rf"{BELOW}static/([\w.]+)")
ACTION = re.compile(rf"{BELOW}endpoints/([\w-]+)/(split|promote|rollback)")
QUERY = {"training", "tuning", "said"}
"""What `/` can be asked with; a presigned address has more."""
MOST_OUTCOMES = 32


class Page:
    """What is at `/` for a browser, and below /_page/; pool: where it reads and renders, off the event loop."""

    def __init__(self, state: Path, runtime: Runtime, pool: ThreadPoolExecutor) -> None:
        self._reader, self._pool = Reader(state), pool
        self._assets = assets()
        shown = state.relative_to(Path.cwd()) if state.is_relative_to(Path.cwd()) else state
        tags = {name: asset.tag for name, asset in self._assets.items()}
        self._renderer = Renderer(environment=str(shown / "environment"), tags=tags, below=BELOW)
        self._comparisons = Comparisons(self._reader, state)
        self._views = Views(self._renderer, self._reader, runtime, state, self._comparisons.of)
        self._actions, self._tokens = Actions(state), Tokens()
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()

    def takes(self, request: web.Request) -> bool:
        """Whether a request is the page's: a client of S3 asks `/` for the buckets, signed, and wants no HTML."""
        if request.host.partition(":")[0].endswith(".localhost"):  # A bucket's own host.
            return False
        signed = "Authorization" in request.headers or not set(request.query) <= QUERY
        looks = request.path == "/" and request.method in ("GET", "HEAD")
        return request.path.startswith(BELOW) or (
            looks and not signed and "text/html" in request.headers.get("Accept", "")
        )

    async def answer(self, request: web.Request) -> web.Response:
        """The answer, an error's too."""
        try:
            response = await (self._look(request) if request.method in ("GET", "HEAD") else self._take(request))
        except Refused as refusal:
            response = web.Response(text=str(refusal), status=refusal.status)
        except Exception as error:
            traceback.print_exc()
            response = web.Response(text=f"the page failed: {type(error).__name__}: {error}", status=500)
        response.headers.update(responses.HEADERS)
        return response

    def close(self) -> None:
        """Ends the reading, and the comparison that is being made."""
        self._comparisons.close()
        self._reader.close()

    async def _look(self, request: web.Request) -> web.Response:
        """A file, or a page as a whole."""
        static = STATIC.fullmatch(request.path)
        if static is not None:
            if static[1] not in self._assets:
                raise Refused(404, "there is no such file")
            return responses.file(request, self._assets[static[1]])
        visitor = self._tokens.visitor(request)
        make, here = self._view_of(request, self._tokens.of(visitor))
        response = responses.page(request, await self._in_thread(lambda: self._renderer.page(make(), here=here)))
        self._tokens.remember(response, visitor)
        return response

    async def _take(self, request: web.Request) -> web.Response:
        """What has changed since a browser looked, or a change of an endpoint's traffic."""
        form, action = await read_form(request), ACTION.fullmatch(request.path)
        if action is not None:
            return await self._act(request, form, action[1], action[2])
        make, _ = self._view_of(request, self._tokens.of(self._tokens.visitor(request)))
        seen = form.get("seen", [])
        text = await self._in_thread(lambda: self._renderer.changes(make(), seen))
        return responses.fragment(text) if text else web.Response(status=204)

    def _view_of(self, request: web.Request, token: str) -> tuple[Callable[[], View], str]:
        """What makes the view of a path, and where to ask for its changes."""
        if request.path in ("/", OVERVIEW):
            training, tuning = (_number(request.query.get(name)) for name in ("training", "tuning"))
            outcome = self._outcomes.get(request.query.get("said", ""))
            url = _own_url(request)
            here = f"{OVERVIEW}?training={training}&tuning={tuning}"
            return lambda: self._views.overview(training, tuning, token, outcome, url), here
        job = JOB.fullmatch(request.path)
        if job is None:
            raise Refused(404, "there is no such page")
        kind, name = job.groups()
        return lambda: self._views.training(name) if kind == "training" else self._views.tuning(name), request.path

    async def _act(self, request: web.Request, form: Form, name: str, action: str) -> web.Response:
        if not self._tokens.fits(request, first(form, "token")):
            raise Refused(
                403, "this front door did not give you this form, or it was started since: load the page again"
            )
        url = _own_url(request)  # While the client is there for sure.
        endpoint = await self._in_thread(lambda: self._views.endpoints.view(name))
        if endpoint is None:
            raise Refused(404, f"there is no endpoint {name}")
        outcome = await self._actions.run(change_of(action, endpoint, form), url)
        if "HX-Request" in request.headers:
            return responses.fragment(self._views.message(outcome, first(form, "token")))
        said = secrets.token_hex(8)
        self._outcomes[said] = outcome
        while len(self._outcomes) > MOST_OUTCOMES:
            self._outcomes.popitem(last=False)
        return web.Response(status=303, headers={"Location": f"/?said={said}#endpoint-{name}"})

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)


def _number(text: str | None) -> int:
    """The number of a page of a list."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else 1


def _own_url(request: web.Request) -> str:
    """Where this front door listens, by the connection and not by what the client says."""
    assert request.transport is not None
    host, port = request.transport.get_extra_info("sockname")[:2]
    return surroundings.url_of(host, port)
