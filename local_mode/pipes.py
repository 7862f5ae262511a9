"""Pipe mode: a channel's files, one after the other, through a FIFO for each epoch."""

import itertools
import os
import select
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local_mode.layout import HostLayout, files_by_key

POLL_SECONDS = 0.05
CHUNK_BYTES = 1 << 16


@contextmanager
def feeding(layouts: Sequence[HostLayout]) -> Iterator[None]:
    """Within the context each host's FIFOs give what its channels in Pipe mode hold, epoch after epoch."""
    ended = threading.Event()
    threads = [
        threading.Thread(
            target=_feed, args=(layout.base / "input" / "data" / channel, folder, ended), name=channel, daemon=True
        )
        for layout in layouts
        for channel, folder in layout.pipes.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _feed(pipe: Path, folder: Path, ended: threading.Event) -> None:
    files = [folder / file for file in files_by_key(folder)]
    for epoch in itertools.count():
        fifo = pipe.with_name(f"{pipe.name}_{epoch}")
        os.mkfifo(fifo)
        descriptor = _opened(fifo, ended)
        if descriptor is None:
            return
        try:
            for file in files:
                _write(descriptor, file, ended)
        except BrokenPipeError:
            pass  # The reader has enough of this epoch.
        finally:
            os.close(descriptor)


def _opened(fifo: Path, ended: threading.Event) -> int | None:
    """The FIFO, once somebody reads it; None where nobody does any more."""
    while not ended.is_set():
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # Nobody reads it yet.
            ended.wait(POLL_SECONDS)
    return None


def _write(descriptor: int, file: Path, ended: threading.Event) -> None:
    with file.open("rb") as source:
        room = select.poll()
        room.register(descriptor, select.POLLOUT)
        while chunk := source.read(CHUNK_BYTES):
            while chunk and not ended.is_set():
                if room.poll(1000 * POLL_SECONDS):
                    chunk = chunk[os.write(descriptor, chunk) :]
