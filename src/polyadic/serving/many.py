"""A container of many models: SageMaker's multi-model contract, GET, POST and DELETE /models and /models/NAME/invoke.

Models that were loaded are known until they are deleted. Those in memory are answered at once; where memory is short,
the one that was asked least recently leaves it, and comes back when it is asked. A worker that takes another's part
knows the same models.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from polyadic.errors import UserError, shorten
from polyadic.formats import FORMATS, json
from polyadic.room import room, size
from polyadic.serving import content, metrics, openapi, places
from polyadic.serving.batching import Full, Slots
from polyadic.serving.instances import Refusal
from polyadic.serving.record import log_fault
from polyadic.serving.served import Served, ended, in_slot
from polyadic.serving.settings import WORKERS, Settings

TARGET = "X-Amzn-SageMaker-Target-Model"
MOST_NAME_CHARACTERS, MOST_ASKED_BYTES, PAGE_MODELS = 1024, 2**20, 100
FILES = ("model.json", "model.safetensors", "model.tar.gz")
"""What is read of a model's folder."""
SPARE_BYTES = 128 * 2**20
"""Left free for requests and answers."""
FIRST_RATIO, MEASURED_BYTES = 4.0, 2**24
"""Memory that loading takes, against the files, of an algorithm of which no model of so many bytes was loaded yet."""


class Many:
    """The models of a worker, by their names."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.slots = settings, Slots(settings.slots)
        self.root = settings.models_folder
        self.ready = threading.Event()
        self._lock, self._loading, self._loads = (
            threading.Condition(),
            threading.Lock(),
            Slots(max(1, settings.slots // 2)),
        )
        self._known = self._remembered()
        self._served = OrderedDict[str, Served]()
        self._users, self._held = Counter[str](), dict[str, float]()
        self._takes, self._ratios = dict[str, float](), dict[str, float]()

    def join(self, app: Flask) -> None:
        """Adds the paths to the application, and imports beside it what models need."""
        for path, method, view in (
            ("/invocations", "POST", self.invocations),
            ("/models", "POST", self.add),
            ("/models/<path:name>", "DELETE", self.delete),
            ("/models/<path:name>/invoke", "POST", self.invoke),
        ):
            app.add_url_rule(path, f"{method} {path}", in_slot(self.slots, view), methods=[method])
        app.add_url_rule("/ping", view_func=self.ping, methods=["GET"])
        app.add_url_rule("/openapi.json", view_func=self.openapi, methods=["GET"])
        app.add_url_rule("/models", view_func=self.list, methods=["GET"])
        app.add_url_rule("/models/<path:name>", view_func=self.describe, methods=["GET"])
        threading.Thread(target=self.prepare, name="prepare", daemon=True).start()

    def prepare(self) -> None:
        """Imports what every model needs, so that the first is not slower than the others."""
        from polyadic.serving import repository  # noqa: F401

        if any(os.environ.get(name, "1") != "1" for name in WORKERS):
            names = " and ".join(WORKERS)
            print(f"one worker holds the models of this container: {names} are not heeded", file=sys.stderr, flush=True)
        list(FORMATS.values())
        gc.collect()
        gc.freeze()  # What stands until the end is not looked through again and again.
        self.ready.set()
        places.tell_ready()

    def ping(self) -> Response:
        """200 once models can be loaded; it does not wait for any of them."""
        return Response(status=200 if self.ready.is_set() else 503)

    def openapi(self) -> Response:
        """What the paths are asked and answer."""
        return content.document(openapi.describe(openapi.of_many()))

    def list(self) -> Response:
        """The models that are known, by name; a page of them, and where the next begins."""
        after, limit = request.args.get("next_page_token", ""), request.args.get("limit", str(PAGE_MODELS))
        if not limit.isascii() or not limit.isdigit() or len(limit) > 3 or not 1 <= int(limit) <= PAGE_MODELS:
            raise Refusal(400, f"limit is {shorten(limit)}: it must be a whole number from 1 to {PAGE_MODELS}")
        with self._lock:
            names = sorted(name for name in self._known if name > after)
            page = names[: int(limit)]
            answer: dict[str, Any] = {"models": [self._described(name) for name in page]}
        if len(names) > len(page):
            answer["nextPageToken"] = page[-1]
        return content.document(answer)

    def add(self) -> Response:
        """Loads a model: 409 where the name is taken, 400 where the URL is no model, 507 where memory is short."""
        asked = content.body(min(MOST_ASKED_BYTES, self.settings.largest_body), "send a name and a URL")
        assert isinstance(asked, bytes)
        name, url = _named(json.decode, asked)
        with self._lock:
            self._refuse_taken(name)
        folder = self._confined(url)
        with self._turn_to_load():
            with self._lock:
                self._refuse_taken(name)
            served = self._load(name, folder)
            with self._lock:
                self._known[name], self._served[name] = url, served
            self._remember()
        return content.document({"modelName": name, "modelUrl": url})

    def _refuse_taken(self, name: str) -> None:
        if name in self._known or name in self._served:  # One that is being deleted is still in memory.
            raise Refusal(409, f"model {shorten(name)} is loaded already: delete it first to load another")

    def describe(self, name: str) -> Response:
        """A model that is known; 404 for another."""
        with self._lock:
            if name not in self._known:
                raise _unknown(name)
            return content.document(self._described(name))

    def delete(self, name: str) -> Response:
        """Forgets a model, and frees its memory before it answers; requests under way are answered first."""
        with self._lock:
            if name not in self._known:
                raise _unknown(name)
            del self._known[name]
        self._remember()
        if not self._free(name, self.settings.deadline):
            threading.Thread(target=self._free, args=(name, None), daemon=True).start()
            raise Refusal(503, "requests of the model are still under way: it is freed after them", retry_after="1")
        return content.document({})

    def _free(self, name: str, seconds: float | None) -> bool:
        """Gives a model's memory back to the system once nobody asks it any more; whether that was in time."""
        with self._lock:
            if not self._lock.wait_for(lambda: not self._users[name], seconds):
                return False
            if self._served.pop(name, None):
                metrics.unloaded()
        _give_back()
        return True

    def invocations(self) -> Response:
        """The answer of the model that a header names."""
        name = request.headers.get(TARGET)
        if not name:
            raise Refusal(400, f"the request names no model: set the header {TARGET}, or ask /models/NAME/invoke")
        return self.invoke(name)

    def invoke(self, name: str) -> Response:
        """The answer of a model: 404 where it is not known, 507 where it had left memory and that is short.

        The model stays in memory until the answer is sent.
        """
        with self._lock:
            if name not in self._known:
                raise _unknown(name)
            self._users[name] += 1
        return ended(lambda: self._present(name).answer(), lambda: self._left(name))

    def _left(self, name: str) -> None:
        with self._lock:
            self._users[name] -= 1
            self._lock.notify_all()

    def _present(self, name: str) -> Served:
        """A model that is in use, from memory or else from its folder."""
        with self._lock:
            if name in self._served:
                self._served.move_to_end(name)
                return self._served[name]
        with self._turn_to_load():
            with self._lock:
                if name in self._served:
                    return self._served[name]
                url = self._known.get(name)
            if url is None:
                raise _unknown(name)
            served = self._load(name, self._confined(url))
            with self._lock:
                self._served[name] = served
            return served

    @contextlib.contextmanager
    def _turn_to_load(self) -> Iterator[None]:
        """Models are loaded one after the other; half of the slots may wait for that, and not beyond a deadline."""
        try:
            self._loads.take()
        except Full:
            raise Refusal(503, f"{self._loads.count} models are being loaded: try again", retry_after="1") from None
        try:
            if not self._loading.acquire(timeout=self.settings.deadline):
                raise Refusal(503, "other models are still being loaded: try again", retry_after="1")
            try:
                yield
            finally:
                self._loading.release()
        finally:
            self._loads.give()

    def _load(self, name: str, folder: Path) -> Served:
        """A model from its folder, for which others leave memory where it is short."""
        from polyadic.artifact import read_description
        from polyadic.serving import repository

        while True:
            try:
                algorithm = str(read_description(folder)["algorithm"]) if (folder / FILES[0]).exists() else ""
                files = sum((folder / file).stat().st_size for file in FILES if (folder / file).exists())
                need = self._takes.get(str(folder), files * self._ratios.get(algorithm, FIRST_RATIO))
                self._make_room(need + SPARE_BYTES, name)
                before = metrics.resident_bytes()
                served = repository.load(folder, self.settings, name)
                break
            except Refusal:
                raise
            except UserError as error:
                raise Refusal(400, str(error)) from None
            except Exception as error:
                if not _is_of_memory(error):
                    sentence = f"{shorten(str(folder))} holds no model that can be loaded"
                    raise Refusal(400, f"{sentence}: its files were altered, and {log_fault(error)[0]}") from None
            if not self._evict():  # Such as of a GPU, whose memory only the attempt tells.
                raise self._no_room(name, 0)
        if files >= MEASURED_BYTES:
            need = files + max(files, metrics.resident_bytes() - before)  # The files are read before they are used.
            self._ratios[algorithm] = need / files
        self._takes[str(folder)] = self._held[name] = need
        return served

    def _make_room(self, need: float, name: str) -> None:
        """Lets models that nobody is asking leave memory, until so much is free; none where that would not do."""
        while (left := room().bytes) < need:
            with self._lock:
                idle = sum(self._held[other] for other in self._served if not self._users[other])
            if left + idle < need or not self._evict():
                raise self._no_room(name, need)

    def _evict(self) -> bool:
        """Takes the model out of memory that was asked least recently, and is not asked now; whether there was one."""
        with self._lock:
            leaving = next((other for other in self._served if not self._users[other]), None)
            if leaving is None:
                return False
            del self._served[leaving]
            metrics.unloaded()
        _give_back()
        return True

    def _no_room(self, name: str, need: float) -> Refusal:
        left = room()
        wanted = f"{size(need)} for it and its requests" if need else "enough"
        return Refusal(
            507,
            f"model {shorten(name)} does not fit: {size(left.bytes)} of {left.source} are left, not {wanted}: "
            "delete models, or choose an instance with more memory",
        )

    def _confined(self, url: str) -> Path:
        """The folder of a URL, which lies below the folder of the models, as all files do that are read of it."""
        root, path = self.root.resolve(), Path(url)
        inside = f"it must be a folder below {self.root}, with neither .. nor links that lead out of it"
        refusal = Refusal(400, f"url is {shorten(url)}: {inside}")
        if ".." in path.parts or "\0" in url or not any(path.is_relative_to(each) for each in (self.root, root)):
            raise refusal
        try:
            real = path.resolve(strict=True)
            files = [(real / file).resolve() for file in FILES if os.path.lexists(real / file)]
        except (OSError, RuntimeError) as error:
            text = error.strerror if isinstance(error, OSError) else error
            raise Refusal(400, f"url is {shorten(url)}, which cannot be read ({text}): {inside}") from None
        if real == root or not real.is_dir() or not all(each.is_relative_to(root) for each in (real, *files)):
            raise refusal
        if not all(file.is_file() for file in files):
            raise refusal
        return real

    def _described(self, name: str) -> dict[str, str]:
        return {"modelName": name, "modelUrl": self._known[name]}

    @property
    def _register(self) -> Path | None:
        """Where the models are written down for a worker that takes this one's part; None where it serves alone."""
        folder = os.environ.get(places.FOLDER_VARIABLE)
        return Path(folder) / "models.json" if folder else None

    def _remembered(self) -> dict[str, str]:
        register = self._register
        return dict(json.decode(register.read_bytes())) if register and register.exists() else {}

    def _remember(self) -> None:
        if register := self._register:
            with self._lock, contextlib.suppress(OSError):  # A full disk must not stop the server.
                partial = register.with_suffix(".partial")
                partial.write_bytes(json.encode(self._known))
                partial.replace(register)


def _give_back() -> None:
    """Returns what is garbage to the system, also what glibc keeps."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _is_of_memory(error: Exception) -> bool:
    """Whether an error says that there is too little memory: of a CPU, as torch says it, or of a GPU."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _named(decode: Any, body: bytes) -> tuple[str, str]:
    """The name and the URL of a request to load a model."""
    try:
        asked = decode(body)
    except UserError as error:
        raise Refusal(400, str(error)) from None
    name, url = (asked.get(key) for key in ("model_name", "url")) if isinstance(asked, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(url, str) or not _is_text(url):
        raise Refusal(400, 'the body must be {"model_name": "...", "url": "/opt/ml/models/.../model"}')
    steps = name.split("/")
    if len(name) > MOST_NAME_CHARACTERS or not name.isprintable() or any(step in ("", ".", "..") for step in steps):
        raise Refusal(
            400,
            f"model_name is {shorten(name)}: it must be 1 to {MOST_NAME_CHARACTERS} printable characters, and no path "
            "with empty steps, . or ..",
        )
    return name, url


def _is_text(text: str) -> bool:
    """Whether a string is one of Unicode: JSON may hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unknown(name: str) -> Refusal:
    return Refusal(404, f"model {shorten(name)} is not loaded: load it with POST /models")
