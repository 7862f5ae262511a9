"""Runs a function on several ranks, each a process of its own, as torch.distributed.run would start them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from polyadic.distributed import World
from polyadic.training.environment import free_port


class RankError(Exception):
    """What a rank raised, with its rank and its traceback."""


def on_ranks(n: int, function: Callable[..., Any], *arguments: Any, hosts: int = 1, seconds: float = 120) -> list[Any]:
    """function(world, *arguments) on n ranks of some hosts: the results in the order of the ranks."""
    context = multiprocessing.get_context("spawn")
    port, processes, ends = free_port(), [], []
    for rank in range(n):
        ours, theirs = context.Pipe(duplex=False)
        place: dict[str, object] = {"RANK": rank, "WORLD_SIZE": n}
        place |= {"LOCAL_RANK": rank % (n // hosts), "LOCAL_WORLD_SIZE": n // hosts}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        process = context.Process(target=_rank, args=(place, theirs, function, arguments))
        process.start()
        theirs.close()
        processes.append(process)
        ends.append(ours)
    try:
        return _await(ends, time.monotonic() + seconds)
    finally:
        for process in processes:
            process.join(5)
            process.kill()
            process.join()


def _await(ends: list[Connection[Any, Any]], deadline: float) -> list[Any]:
    results: dict[int, Any] = {}
    while waiting := [end for rank, end in enumerate(ends) if rank not in results]:
        ready = multiprocessing.connection.wait(waiting, max(0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"ranks {sorted(set(range(len(ends))) - results.keys())} did not answer in time")
        for rank, end in enumerate(ends):
            if end in ready:
                results[rank] = _receive(rank, end)
    return [results[rank] for rank in range(len(ends))]


def _receive(rank: int, end: Connection[Any, Any]) -> Any:
    try:
        # Bytes, not the object: torch would hand its tensors over in shared memory that dies with the rank.
        failure, result = pickle.loads(end.recv_bytes())
    except EOFError:
        raise RankError(f"rank {rank} died without a word") from None
    if failure:
        raise RankError(f"rank {rank}: {failure}")
    return result


def _rank(place: dict[str, object], end: Connection[Any, Any], function: Callable[..., Any], arguments: Any) -> None:
    os.environ |= {name: str(value) for name, value in place.items()}
    torch.set_num_threads(1)
    try:
        world = World.join()
        result = function(world, *arguments)
        world.leave()
        end.send_bytes(pickle.dumps((None, result)))
    except BaseException:
        end.send_bytes(pickle.dumps((traceback.format_exc(), None)))
