"""The work of a CPU kernel, divided over as many threads as torch may use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import torch

T = TypeVar("T")

PARTS_PER_THREAD = 4
PARTS_LEFT_ALONE = 1
"""A thread is helped where more parts than this wait for it, since something else then holds it up."""
FEW_ENTRIES = 2**20
"""Entries of a dense tensor, all of whose products but our kernels' one thread makes."""
_reserved_threads: list[int] = []


def threads() -> int:
    """How many threads a kernel takes."""
    return _reserved_threads[-1] if _reserved_threads else torch.get_num_threads()


@contextmanager
def for_kernels(most: int | None = None) -> Iterator[None]:
    """Leaves the threads, or `most` of them, to the kernels: torch's own products run on the calling thread alone.

    Torch's threads would wait busily after each product, on the cores that the kernels need next.
    """
    before = torch.get_num_threads()
    _reserved_threads.append(min(threads(), most or threads()))
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _reserved_threads.pop()
        torch.set_num_threads(before)


def for_few(entries: float, device: torch.device, most: int | None = None) -> AbstractContextManager[None]:
    """`for_kernels` where a tensor on a CPU has so few entries that to wake torch's threads takes longer than its work.

    Beside another busy process the threads that wait for one another take many times as long.
    """
    return for_kernels(most) if device.type == "cpu" and entries <= FEW_ENTRIES else nullcontext()


def in_parallel(kernel: Callable[..., None], edges: Sequence[int], *arguments: Any) -> None:
    """Calls kernel(*arguments, begin, end) for each pair of neighbouring edges, on the calling thread and others.

    A thread takes neighbouring parts, the same ones in each call, so that what it wrote is in its own cache. A thread
    that has done its parts helps the others, beginning with their last parts.
    """
    parts = [(begin, end) for begin, end in pairwise(edges) if end > begin]
    workers = min(threads(), len(parts))
    queues = [deque(parts[len(parts) * n // workers : len(parts) * (n + 1) // workers]) for n in range(workers)]

    def work(number: int) -> None:
        own = queues[number]
        while own and (part := _taken(own.popleft)):
            kernel(*arguments, *part)
        for queue in queues:
            while len(queue) > PARTS_LEFT_ALONE and (part := _taken(queue.pop)):
                kernel(*arguments, *part)

    others = [_pool(threads()).submit(work, number) for number in range(1, workers)]
    if workers:
        work(0)
    for other in others:
        other.result()


def side_by_side(work: Callable[[int], T], parts: int) -> list[T]:
    """[work(0), ..., work(parts - 1)], each on a thread of its own, to which torch's operations within it keep."""
    if parts == 1:
        return [work(0)]
    with for_kernels():
        others = [_pool(threads()).submit(work, number) for number in range(1, parts)]
        try:
            return [work(0), *(other.result() for other in others)]
        finally:
            wait(others)


def _taken(take: Callable[[], tuple[int, int]]) -> tuple[int, int] | None:
    """A part of a queue, or None where another thread has taken the last one."""
    try:
        return take()
    except IndexError:
        return None


def even(tasks: int, smallest: int = 1) -> list[int]:
    """Edges 0, ..., tasks that cut tasks into equal parts of `smallest` tasks or more, some for each thread."""
    parts = max(1, min(PARTS_PER_THREAD * threads(), tasks // max(1, smallest)))
    return [tasks * part // parts for part in range(parts + 1)]


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="kernel")
