"""A worker of a training job: reads hyperparameters and channels, fits, writes the model."""

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

import gc  # noqa: E402
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
from polyadic.jobs.algorithm import Algorithm  # noqa: E402
from polyadic.jobs.checkpoints import Checkpoints  # noqa: E402
from polyadic.jobs.hyperparameters import Hyperparameters  # noqa: E402
from polyadic.jobs.job import Job  # noqa: E402
from polyadic.jobs.metrics import NoScalars, Scalars  # noqa: E402
from polyadic.jobs.model import Model  # noqa: E402
from polyadic.training import messages  # noqa: E402
from polyadic.training.channels import open_channels  # noqa: E402
from polyadic.training.checkpoint import CheckpointFolder, NoCheckpoints  # noqa: E402
from polyadic.training.environment import Environment, read_environment  # noqa: E402
from polyadic.training.tensorboard import EventFolder  # noqa: E402
from polyadic.training.without_compiler import optimizer_without_compiler  # noqa: E402


def train(environment: Environment, stop_requested: Callable[[], bool], dry_run: bool = False) -> None:
    """Reads the hyperparameters and the channels, fits, and writes the model from rank 0."""
    algorithm, hyperparameters = algorithms.choose(environment.hyperparameters)
    channels = open_channels(environment, algorithm.channels, algorithm.name)
    world = World.join()
    job = Job(
        algorithm=algorithm.name,
        hyperparameters=hyperparameters,
        world=world,
        channels=channels,
        checkpoints=_checkpoints(environment, algorithm.name, hyperparameters, dry_run),
        host=environment.current_host,
        stop_requested=stop_requested,
        dry_run=dry_run,
        output=None if dry_run else environment.output_data,
        scalars=_scalars(environment, dry_run),
    )
    job.note(f"{algorithm.name}: {hyperparameters.model_dump_json()}")
    model = algorithm.fit(job)
    if world.rank == 0 and not dry_run:
        model.artifact().write(environment.model)
        write_report(algorithm, model, job)
    world.leave()


def main(arguments: Sequence[str] = ()) -> NoReturn:
    """A worker's life: trains, reports its failure to the launcher, and ends the process."""
    messages.die_with_parent()
    gc.freeze()  # The libraries stay: no collection of garbage need go through their objects again.
    optimizer_without_compiler()
    folder = Path(os.environ[messages.FOLDER_VARIABLE])
    environment = read_environment()
    try:
        train(environment, lambda: _stop or messages.stop_requested(folder), dry_run="--dry-run" in arguments)
    except Exception as error:  # Every failure has a kind, and is reported: this is the outermost frame.
        failure = kind_of(error)
        if isinstance(failure, AlgorithmError):
            traceback.print_exc()
        messages.write_failure(folder, int(os.environ.get("RANK", 0)), failure)
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


def write_report(algorithm: Algorithm, model: Model, job: Job[Hyperparameters]) -> None:
    """Writes pages and figures of a model; a fault in them must not cost the model, which is written by now."""
    if job.output is None or algorithm.report is None:
        return
    try:
        algorithm.report(job.output, model)
    except ModuleNotFoundError as error:
        job.note(f"warning: the report has no pictures, for {error.name} is missing: pip install 'polyadic[report]'")
    except Exception as error:
        job.note(f"warning: the report in {job.output} is incomplete: {error} ({type(error).__name__})")


def _checkpoints(environment: Environment, algorithm: str, settings: Hyperparameters, dry_run: bool) -> Checkpoints:
    if environment.checkpoints is None or dry_run:
        return NoCheckpoints()
    job = json.dumps({"algorithm": algorithm, **settings.model_dump()}, sort_keys=True)
    free = shutil.disk_usage(environment.checkpoints).free
    if free < 64 * 2**20:
        raise PlatformError(f"{environment.checkpoints} has {free >> 20} MiB free: checkpoints need 64 MiB or more")
    return CheckpointFolder(environment.checkpoints, job)


def _scalars(environment: Environment, dry_run: bool) -> Scalars:
    return NoScalars() if environment.tensorboard is None or dry_run else EventFolder(environment.tensorboard)


if __name__ == "__main__":
    main(sys.argv[1:])
