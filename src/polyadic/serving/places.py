"""The places of a server's workers: which GPU each has, and whether all of them are ready.

gunicorn's master hands out the places and makes the folder where workers tell that they are ready. Imports no torch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

FOLDER_VARIABLE, PLACE_VARIABLE = "POLYADIC_READY_FOLDER", "POLYADIC_WORKER_PLACE"
"""The environment variables by which a worker knows of the folder, and of its place in it."""


def lowest_free(taken: Iterable[int]) -> int:
    """The lowest place that no worker has: one that takes another's part has the same place, and the same GPU."""
    places = set(taken)
    return next(place for place in range(len(places) + 1) if place not in places)


def tell_ready() -> None:
    """Marks this worker's place as one that has been ready."""
    folder, place = os.environ.get(FOLDER_VARIABLE), os.environ.get(PLACE_VARIABLE)
    if folder and place:
        with contextlib.suppress(OSError):
            (Path(folder) / place).touch()


def all_ready(workers: int) -> bool:
    """Whether every worker has been ready once; True where no master made a folder, and this process serves alone.

    A worker that is started again does not make the server unready: its requests wait for it, and others answer.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    return folder is None or all((Path(folder) / str(place)).exists() for place in range(workers))
