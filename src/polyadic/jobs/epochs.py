"""The training of a network as a job has it: a line for each epoch, and a snapshot wherever one is due."""

from __future__ import annotations

from typing import Any

from polyadic.jobs.checkpoints import Snapshot
from polyadic.jobs.job import Job
from polyadic.networks.progress import Cursor, Epoch
from polyadic.networks.training import Training


def begin(job: Job[Any], training: Training[Any]) -> Cursor:
    """Where a training stands: at its start, or where the newest snapshot was taken. A collective."""
    snapshot = job.resume()
    if snapshot is None:
        return Cursor()
    cursor = training.restore(dict(snapshot.tensors), dict(snapshot.numbers))
    job.note(f"resuming from the checkpoint of epoch {cursor.epoch}, step {cursor.step}")
    return cursor


def run(job: Job[Any], training: Training[Any], cursor: Cursor, values: str) -> bool:
    """Trains from the cursor on; False where the job is told to stop. values: what the speed counts, in the plural."""
    epochs = training.plan.epochs

    def keep(cursor: Cursor) -> None:
        step = cursor.epoch * training.steps + cursor.step
        job.keep(Snapshot(step, training.tensors(cursor), cursor.numbers))

    def after_step(cursor: Cursor) -> bool:
        boundary = job.boundary(cursor.step, stride_on_gpu=16)
        if boundary.stop or (boundary.save and cursor.step < training.steps):
            keep(cursor)
        return not boundary.stop

    def after_epoch(cursor: Cursor, epoch: Epoch) -> None:
        where = {"epoch": epoch.number}
        job.metric("train loss", epoch.loss, where)
        if epoch.validation is not None:
            job.metric("validation loss", epoch.validation, where)
        job.metric(f"train {values}_per_second", epoch.speed, where, unit="speed")
        job.line(f"#progress_metric: host={job.host}, completed {100 * cursor.epoch // epochs} % of epochs")
        keep(cursor)

    return training.run(cursor, after_step, after_epoch)
