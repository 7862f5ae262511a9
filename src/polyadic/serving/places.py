"""The places of a server's workers: which GPU each has, where it counts, and whether all of them are ready.

gunicorn's master hands out the places and makes the folder where workers tell that they are ready. Imports no torch.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

FOLDER_VARIABLE, PLACE_VARIABLE = "POLYADIC_READY_FOLDER", "POLYADIC_WORKER_PLACE"
"""The environment variables by which a worker knows of the folder, and of its place in it."""
FIGURES_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The one by which prometheus-client knows where workers count together."""
FIGURES_FILES, FIGURES_BYTES = ("counter", "histogram", "gauge_livesum", "gauge_livemax"), 2**18
"""A worker's files there, one for each kind of figure, and what each may grow to."""


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


def make_folder(prefix: str) -> None:
    """Makes the folder, and one in it where workers count together; where the disk is full, each is on its own."""
    with contextlib.suppress(OSError):
        if FOLDER_VARIABLE not in os.environ:
            os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix=prefix)
        figures = Path(os.environ[FOLDER_VARIABLE]) / "figures"
        figures.mkdir(exist_ok=True)
        os.environ[FIGURES_VARIABLE] = str(figures)


def reserve_figures(process: int) -> None:
    """Takes the space for what a worker counts; where the disk is full, it counts in its own memory.

    The files are mapped into memory: a worker that wrote to one for which there is no space would be killed (SIGBUS).
    """
    folder = os.environ.get(FIGURES_VARIABLE)
    if not folder:
        return
    files = [Path(folder) / f"{kind}_{process}.db" for kind in FIGURES_FILES]
    try:
        for file in files:
            with file.open("wb") as opened:
                os.posix_fallocate(opened.fileno(), 0, FIGURES_BYTES)
    except OSError:
        for file in files:
            file.unlink(missing_ok=True)
        del os.environ[FIGURES_VARIABLE]


def forget_figures(process: int) -> None:
    """Removes what a worker that has ended told of itself as it was; what it has counted stays.

    As prometheus-client's mark_process_dead does: the master, of which workers are copies, must not import that.
    """
    with contextlib.suppress(OSError):
        for file in Path(os.environ.get(FIGURES_VARIABLE, "/nowhere")).glob(f"gauge_live*_{process}.db"):
            file.unlink()
