"""Work over threads: every part once, torch's own threads set back, results in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyadic.tensor.kernels.threads import even, for_kernels, in_parallel, side_by_side, threads


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@given(st.integers(0, 1000), st.integers(1, 50))
def test_even_edges_cover_the_tasks_in_parts_that_are_not_too_small(tasks: int, smallest: int) -> None:
    edges = even(tasks, smallest)
    sizes = [end - begin for begin, end in pairwise(edges)]
    assert edges[0] == 0 and edges[-1] == tasks
    assert min(sizes) >= min(smallest, tasks) and max(sizes) - min(sizes) <= 1


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("edges", [[0], [0, 0], [0, 9], [0, 1, 1, 5, 6, 9], list(range(40))])
def test_every_part_is_done_once(edges: list[int]) -> None:
    parts: list[tuple[str, int, int]] = []
    in_parallel(lambda *arguments: parts.append(arguments), edges, "argument")
    expected = [("argument", begin, end) for begin, end in pairwise(edges) if begin < end]
    assert sorted(parts) == expected


@pytest.mark.usefixtures("three_threads")
def test_a_thread_that_has_done_its_parts_helps_the_others() -> None:
    held, done = threading.Event(), []

    def kernel(begin: int, end: int) -> None:
        if begin == 0:
            held.wait(10)
        else:
            done.append(begin)
            if len(done) == 10:  # All but the part in hand and the last one of its thread.
                held.set()

    in_parallel(kernel, list(range(13)))
    assert sorted(done) == list(range(1, 12)) and held.is_set()


@pytest.mark.usefixtures("three_threads")
def test_an_error_of_another_thread_is_raised() -> None:
    def kernel(begin: int, end: int) -> None:
        if begin == 8:
            raise ValueError("part 8")

    with pytest.raises(ValueError, match="part 8"):
        in_parallel(kernel, list(range(10)))


@pytest.mark.usefixtures("three_threads")
def test_kernels_keep_their_threads_while_torch_has_one() -> None:
    with for_kernels():
        assert torch.get_num_threads() == 1 and threads() == 3
        with for_kernels():
            assert threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3 and threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_work_side_by_side_is_done_at_the_same_time_and_answered_in_order() -> None:
    meeting = threading.Barrier(3, timeout=10)

    def work(number: int) -> int:
        meeting.wait()
        time.sleep(0.01 * (3 - number))
        return number

    assert side_by_side(work, 3) == [0, 1, 2]
    assert torch.get_num_threads() == 3
    assert side_by_side(lambda number: number + 5, 1) == [5]
