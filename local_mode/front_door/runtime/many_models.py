"""Many models in one server: loaded where they are first asked for, evicted where the server has no room.

The contract of multi-model containers: POST /models, DELETE /models/{name}, POST /models/{name}/invoke; 409 for one
that is loaded, 507 where memory is short.
"""

import asyncio
import hashlib
import shutil
from collections import Counter, OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from local_mode.archives import unpack
from local_mode.errors import LocalModeError
from local_mode.front_door.runtime.faults import RuntimeFault, validation_error

if TYPE_CHECKING:  # local_mode.router imports this file and must not import moto.
    from local_mode.front_door.services.objects import Objects

LOAD_SECONDS, LOOK_SECONDS = 60.0, 0.05


class ManyModels:
    """The models of one server.

    folder: where they are unpacked; inside: the same folder as the server sees it; prefix: where their archives lie,
    as (bucket, prefix).
    """

    def __init__(self, objects: "Objects", folder: Path, inside: str, prefix: tuple[str, str]) -> None:
        self._objects, self._folder, self._inside, self._prefix = objects, folder, inside, prefix
        self._loaded: OrderedDict[str, asyncio.Task[None]] = OrderedDict()
        self._asked: Counter[str] = Counter()
        self._loading = asyncio.Lock()

    def holds(self, model: str) -> bool:
        """Whether the server has a model, or is loading it."""
        return model in self._loaded

    async def take(self, session: aiohttp.ClientSession, url: str, model: str) -> str:
        """The path that a model is asked at, once the server holds it; RuntimeFault where it cannot be had.

        It is not evicted before it is given back.
        """
        self._asked[model] += 1
        try:
            await self._hold(session, url, model)
        except BaseException:
            self.give_back(model)
            raise
        return f"/models/{_name(model)}/invoke"

    def give_back(self, model: str) -> None:
        """The end of a request to a model."""
        self._asked[model] -= 1
        if not self._asked[model]:
            del self._asked[model]

    async def _hold(self, session: aiohttp.ClientSession, url: str, model: str) -> None:
        task = self._loaded.get(model)
        if task is None:
            task = self._loaded[model] = asyncio.create_task(self._load(session, url, model))
        self._loaded.move_to_end(model)
        try:
            await asyncio.shield(task)
        except BaseException:
            if task.done() and self._loaded.get(model) is task:
                del self._loaded[model]
            raise

    async def _load(self, session: aiohttp.ClientSession, url: str, model: str) -> None:
        async with self._loading:  # One after the other: one that is being evicted is not loaded again meanwhile.
            name = _name(model)
            await asyncio.get_running_loop().run_in_executor(None, self._fetch, model, self._folder / name / "model")
            document = {"model_name": name, "url": f"{self._inside}/{name}/model"}
            until = asyncio.get_running_loop().time() + LOAD_SECONDS
            while True:
                timeout = aiohttp.ClientTimeout(total=LOAD_SECONDS)
                async with session.post(f"{url}/models", json=document, timeout=timeout) as answer:
                    text = await answer.text()
                if answer.status in (200, 409):
                    return
                if answer.status != 507 or asyncio.get_running_loop().time() > until:
                    raise _not_loaded(model, answer.status, text)
                if not await self._evict_one(session, url, model):
                    await asyncio.sleep(LOOK_SECONDS)  # All of them are being asked.

    async def _evict_one(self, session: aiohttp.ClientSession, url: str, wanted: str) -> bool:
        """Evicts the model that was asked for least recently; False where all are being loaded or asked."""
        for model, task in self._loaded.items():
            if model != wanted and task.done() and not self._asked[model]:
                del self._loaded[model]
                async with session.delete(f"{url}/models/{_name(model)}") as answer:
                    await answer.read()
                shutil.rmtree(self._folder / _name(model), ignore_errors=True)
                return True
        return False

    def _fetch(self, model: str, folder: Path) -> None:
        bucket, prefix = self._prefix
        archive = self._objects.path(bucket, f"{prefix}{model.lstrip('/')}")
        if archive is None:
            raise validation_error(
                f"Failed to download model data for {model}: s3://{bucket}/{prefix} has no such object."
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            unpack(archive, folder)
        except LocalModeError as error:
            raise validation_error(f"Model {model}: {error}") from None


def _not_loaded(model: str, status: int, text: str) -> RuntimeFault:
    if status == 404:
        text = "the container knows no POST /models: it does not serve many models"
    message = f"Failed to load model {model} ({status}): {text}"
    return RuntimeFault("ModelError", 424, message, OriginalStatusCode=status, OriginalMessage=text[:1024])


def _name(model: str) -> str:
    """What a server knows a model by: opaque, as on SageMaker, and no path."""
    return hashlib.sha256(model.encode()).hexdigest()[:32]
