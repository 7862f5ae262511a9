"""A CPU kernel's work, over as many threads as torch may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import count, pairwise
from typing import Any

import torch

PARTS_A_THREAD = 2
"""More parts than threads: one thread may be held up by what else the machine does."""
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
    """kernel(*arguments, begin, end) for each pair of neighbouring edges; the calling thread takes its part."""
    parts = [(begin, end) for begin, end in pairwise(edges) if end > begin]
    numbers = count()

    def work() -> None:
        while (number := next(numbers)) < len(parts):
            kernel(*arguments, *parts[number])

    helpers = min(threads(), len(parts)) - 1
    others = [_pool(threads()).submit(work) for _ in range(helpers)]
    work()
    for other in others:
        other.result()


def even(tasks: int, smallest: int = 1) -> list[int]:
    """Edges that cut tasks into equal parts of `smallest` or more, for the threads at hand."""
    parts = max(1, min(PARTS_A_THREAD * threads(), tasks // max(1, smallest)))
    return [tasks * part // parts for part in range(parts + 1)]


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="kernel")
