"""The story of a training job, as one worker lives it."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

# The handler comes before any heavy import: SIGTERM may arrive while torch is being read from disk.
_stop = False


def _on_sigterm(signum: int, frame: FrameType | None) -> None:
    global _stop
    _stop = True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _on_sigterm)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

import json  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402

from polyadic import algorithms  # noqa: E402
from polyadic.distributed import World, lost_peer  # noqa: E402
from polyadic.errors import AlgorithmError, PlatformError, PolyadicError, UserError, classify  # noqa: E402
from polyadic.jobs.hyperparameters import Hyperparameters  # noqa: E402
from polyadic.jobs.job import Checkpoints, Job, Model, NoScalars, Reporting, Scalars  # noqa: E402
from polyadic.training import environment, report  # noqa: E402
from polyadic.training.channels import open_channels  # noqa: E402
from polyadic.training.checkpoint import CheckpointFolder, NoCheckpoints  # noqa: E402
from polyadic.training.environment import Environment  # noqa: E402
from polyadic.training.tensorboard import EventFolder  # noqa: E402


def train(here: Environment, stop_requested: Callable[[], bool], dry_run: bool = False) -> None:
    """Reads the hyperparameters and the channels, fits, and writes the model from rank 0."""
    algorithm, hyperparameters = algorithms.choose(here.hyperparameters)
    channels = open_channels(here, algorithm.CHANNELS, algorithm.NAME)
    world = World.join()
    job = Job(
        algorithm=algorithm.NAME,
        hyperparameters=hyperparameters,
        world=world,
        channels=channels,
        checkpoints=_checkpoints(here, algorithm.NAME, hyperparameters, dry_run),
        host=here.current_host,
        stop_requested=stop_requested,
        dry_run=dry_run,
        output=None if dry_run else here.output_data,
        scalars=_scalars(here, dry_run),
    )
    job.note(f"{algorithm.NAME}: {hyperparameters.model_dump_json()}")
    model = algorithm.fit(job)
    if world.rank == 0 and not dry_run:
        model.artifact().write(here.model)
        write_report(model, job)
    world.leave()


def main(arguments: Sequence[str] = ()) -> NoReturn:
    """A worker's life: trains, reports its failure to the launcher, and ends the process."""
    report.die_with_parent()
    folder = Path(os.environ[report.FOLDER])
    here = environment.read()
    try:
        train(here, lambda: _stop or report.stop_requested(folder), dry_run="--dry-run" in arguments)
    except Exception as error:  # Every failure has a kind, and is reported: this is the outermost frame.
        failure = kind_of(error)
        if isinstance(failure, AlgorithmError):
            traceback.print_exc()
        report.write(folder, int(os.environ.get("RANK", 0)), failure)
        _leave(failure.exit_code)  # Peers may wait in a collective for ever: no farewells of the process group.
    _leave(0)


def _leave(exit_code: int) -> NoReturn:
    """Ends the process without taking the interpreter down.

    While it is taken down a thread of gloo may still give back the tensors of the last collective, for which it needs
    the interpreter: the process would then abort, once in some hundred times, and a job that is done would fail.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def kind_of(error: Exception) -> PolyadicError:
    """The kind of a failure, torch's own included."""
    if lost_peer(error):
        print(f"a collective failed: {error}", file=sys.stderr)
        return PlatformError("another rank was lost while this one waited for it")
    if isinstance(error, torch.OutOfMemoryError):
        return UserError(
            f"out of GPU memory ({str(error).splitlines()[0]}): lower mini_batch_size, num_cells or rank, "
            "or choose an instance with more"
        )
    return classify(error)


def write_report(model: Model, job: Job[Hyperparameters]) -> None:
    """What the model shows of itself; a fault in a picture must not cost the model, which is written by now."""
    if job.output is None or not isinstance(model, Reporting):
        return
    try:
        model.report(job.output)
    except Exception as error:
        job.note(f"warning: the report in {job.output} is incomplete: {error} ({type(error).__name__})")


def _checkpoints(here: Environment, algorithm: str, settings: Hyperparameters, dry_run: bool) -> Checkpoints:
    if here.checkpoints is None or dry_run:
        return NoCheckpoints()
    job = json.dumps({"algorithm": algorithm, **settings.model_dump()}, sort_keys=True)
    free = shutil.disk_usage(here.checkpoints).free
    if free < 64 * 2**20:
        raise PlatformError(f"{here.checkpoints} has {free >> 20} MiB free: checkpoints need 64 MiB or more")
    return CheckpointFolder(here.checkpoints, job)


def _scalars(here: Environment, dry_run: bool) -> Scalars:
    return NoScalars() if here.tensorboard is None or dry_run else EventFolder(here.tensorboard)


if __name__ == "__main__":
    main(sys.argv[1:])
