"""Every number and switch of the server, read once from the environment. Never imports torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyadic.devices import count_gpus
from polyadic.errors import UserError

MIB = 2**20
WORKERS = ("SAGEMAKER_MODEL_SERVER_WORKERS", "MODEL_SERVER_WORKERS")


@dataclass(frozen=True)
class Settings:
    """What the environment says about serving."""

    model_folder: Path
    models_folder: Path
    many_models: bool
    variant: str | None
    port: int
    workers: int
    threads: int
    threads_per_worker: int
    timeout: int
    largest_body: int
    batch_transform: bool
    access_log: bool
    default_accept: str | None
    default_configuration: Mapping[str, Any]

    @property
    def deadline(self) -> int:
        """Seconds for a prediction: a little before the platform gives the request up."""
        return max(1, self.timeout - 5)

    @property
    def slots(self) -> int:
        """Requests that a worker takes on together: fewer than its threads, so that one is always free for /ping."""
        return max(1, self.threads - 4)


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this container, by the names that SageMaker and its other containers use."""
    gpus = count_gpus(environ)
    cores = os.cpu_count() or 1
    base = Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    many_models = _switch(environ, "SAGEMAKER_MULTI_MODEL", False)
    # Each of several processes would hold the models of its own, and hear only of some of them.
    workers = 1 if many_models else gpus or min(cores, 8)
    return Settings(
        model_folder=base / "model",
        models_folder=base / "models",
        many_models=many_models,
        variant=environ.get("MODEL_VARIANT"),
        port=_whole(environ, ("SAGEMAKER_BIND_TO_PORT",), 8080),
        workers=workers if many_models else _whole(environ, WORKERS, workers),
        threads=_whole(environ, ("MODEL_SERVER_THREADS",), 16),
        threads_per_worker=_whole(environ, ("OMP_NUM_THREADS",), 1),
        timeout=_whole(environ, ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "MODEL_SERVER_TIMEOUT"), 60),
        largest_body=_largest_body(environ),
        batch_transform=_switch(environ, "SAGEMAKER_BATCH", False),
        access_log=_switch(environ, "MODEL_SERVER_ACCESS_LOG", True),
        default_accept=environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"),
        default_configuration=_configuration(environ),
    )


def _largest_body(environ: Mapping[str, str]) -> int:
    """Bytes: 25 MiB, or what a transform job or the user allows."""
    if "MAX_CONTENT_LENGTH" in environ:
        return _whole(environ, ("MAX_CONTENT_LENGTH",), 0)
    return _whole(environ, ("SAGEMAKER_MAX_PAYLOAD_IN_MB",), 25) * MIB or 1024 * MIB


def _configuration(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """DeepAR's variable for requests that carry no configuration, such as the lines of a transform job."""
    text = environ.get("DEEPAR_INFERENCE_CONFIG", "{}")
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UserError(f"DEEPAR_INFERENCE_CONFIG is {text!r}: it must be a JSON object")
    return value


def _switch(environ: Mapping[str, str], name: str, default: bool) -> bool:
    """A variable that is true or false, in any letters: SageMaker writes `true`, its SDK's local mode `True`."""
    text = environ.get(name, "").strip().lower()
    if text not in ("", "true", "false"):
        raise UserError(f"{name} is {environ[name]!r}: it must be true or false")
    return text == "true" if text else default


def _whole(environ: Mapping[str, str], names: tuple[str, ...], default: int) -> int:
    for name in names:
        if name in environ:
            text = environ[name]
            if not text.isascii() or not text.isdigit():
                raise UserError(f"{name} is {text!r}: it must be a whole number")
            return int(text)
    return default
