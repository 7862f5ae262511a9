"""A CPU kernel's work, over as many threads as torch may use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import torch

T = TypeVar("T")

PARTS_A_THREAD = 4
LATE = 1
"""A thread is helped where more parts than these wait for it: something else holds it up."""
_reserved: list[int] = []


def threads() -> int:
    """How many threads a kernel takes."""
    return _reserved[-1] if _reserved else torch.get_num_threads()


@contextmanager
def for_kernels() -> Iterator[None]:
    """Leaves the threads to the kernels: torch's own products, small ones between them, keep to the calling thread.

    Its threads would spin for a while after each product, on the cores that the kernels need next.
    """
    _reserved.append(threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(_reserved.pop())


def in_parallel(kernel: Callable[..., None], edges: Sequence[int], *arguments: Any) -> None:
    """kernel(*arguments, begin, end) for each pair of neighbouring edges; the calling thread takes its part.

    A thread takes neighbouring parts, the same ones in each call: what it wrote is in its own cache. One that is done
    helps the others, from their last parts on.
    """
    parts = [(begin, end) for begin, end in pairwise(edges) if end > begin]
    workers = min(threads(), len(parts))
    queues = [deque(parts[len(parts) * n // workers : len(parts) * (n + 1) // workers]) for n in range(workers)]

    def work(number: int) -> None:
        mine = queues[number]
        while mine and (part := _taken(mine.popleft)):
            kernel(*arguments, *part)
        for queue in queues:
            while len(queue) > LATE and (part := _taken(queue.pop)):
                kernel(*arguments, *part)

    others = [_pool(threads()).submit(work, number) for number in range(1, workers)]
    if workers:
        work(0)
    for other in others:
        other.result()


def side_by_side(work: Callable[[int], T], parts: int) -> list[T]:
    """[work(0), ..., work(parts - 1)], each by a thread of its own, to which torch's operations in it keep."""
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
    """Edges that cut tasks into equal parts of `smallest` or more, for the threads at hand."""
    parts = max(1, min(PARTS_A_THREAD * threads(), tasks // max(1, smallest)))
    return [tasks * part // parts for part in range(parts + 1)]


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="kernel")
