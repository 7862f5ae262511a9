"""Runs functions on several ranks, each a process of its own, as torch.distributed.run would start them.

The processes of a number of ranks are started once and serve every call, for to start one takes seconds; after a
failure they are ended, and the next call starts new ones.
"""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.connection
import os
import pickle
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import torch

from polyadic.distributed import World
from polyadic.training.environment import free_port


class RankError(Exception):
    """What a rank raised, with its rank and its traceback."""


def on_ranks(
    n: int, function: Callable[..., Any], *arguments: Any, hosts: int = 1, seconds: float = 120, fresh: bool = False
) -> list[Any]:
    """function(world, *arguments) on n ranks of some hosts: the results in the order of the ranks.

    fresh: in processes of its own, which end after it, for a function that changes its process or ends it.
    """
    group = _Group(n, fresh) if fresh else _GROUPS.get(n) or _GROUPS.setdefault(n, _Group(n, fresh))
    try:
        results = group.run(function, arguments, hosts, time.monotonic() + seconds)
    except BaseException:
        if not fresh:
            del _GROUPS[n]
        group.end()
        raise
    if fresh:
        group.end()
    return results


class _Group:
    """The processes of n ranks."""

    def __init__(self, n: int, fresh: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.processes: list[SpawnProcess] = []
        self.ends: list[Connection[Any, Any]] = []
        for _ in range(n):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, fresh), daemon=True)
            process.start()
            theirs.close()
            self.processes.append(process)
            self.ends.append(ours)

    def run(self, function: Callable[..., Any], arguments: Any, hosts: int, deadline: float) -> list[Any]:
        """Hands the call to every rank and waits for their results."""
        n, port = len(self.ends), free_port()
        for rank, end in enumerate(self.ends):
            place: dict[str, object] = {"RANK": rank, "WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            place |= {"LOCAL_RANK": rank % (n // hosts), "LOCAL_WORLD_SIZE": n // hosts}
            end.send_bytes(pickle.dumps((place, function, arguments)))
        results: dict[int, Any] = {}
        while waiting := [end for rank, end in enumerate(self.ends) if rank not in results]:
            ready = multiprocessing.connection.wait(waiting, max(0, deadline - time.monotonic()))
            if not ready:
                silent = sorted(set(range(n)) - results.keys())
                raise TimeoutError(f"ranks {silent} did not answer in time")
            for rank, end in enumerate(self.ends):
                if end in ready:
                    results[rank] = _receive(rank, end)
        return [results[rank] for rank in range(n)]

    def end(self) -> None:
        """Ends the processes."""
        for process in self.processes:
            process.kill()
            process.join()


_GROUPS: dict[int, _Group] = {}


@atexit.register
def _end_all() -> None:
    for group in _GROUPS.values():
        group.end()


def _receive(rank: int, end: Connection[Any, Any]) -> Any:
    try:
        # Bytes, not the object: torch would hand its tensors over in shared memory that dies with the rank.
        failure, result = pickle.loads(end.recv_bytes())
    except EOFError:
        raise RankError(f"rank {rank} died without a word") from None
    if failure:
        raise RankError(f"rank {rank}: {failure}")
    return result


def _serve(end: Connection[Any, Any], fresh: bool) -> None:
    """A rank's life: calls in, results out, until its parent ends, or until its first call is done."""
    torch.set_num_threads(1)
    serving = True
    while serving:
        serving = not fresh
        try:
            place, function, arguments = pickle.loads(end.recv_bytes())
            os.environ |= {name: str(value) for name, value in place.items()}
            world = World.join()
            result = function(world, *arguments)
            world.leave()
            end.send_bytes(pickle.dumps((None, result)))
        except EOFError:
            return
        except BaseException:
            end.send_bytes(pickle.dumps((traceback.format_exc(), None)))
