"""The model of an earlier job, from channel `model`."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.jobs.channels import Channel, ChannelSpec

CONTENT_TYPE = "application/x-sagemaker-model"


def channel_spec(algorithm: str, purpose: str) -> ChannelSpec:
    """The channel, as an algorithm declares it."""
    return ChannelSpec("model", f"the model.tar.gz of an earlier {algorithm} job, {purpose}", (CONTENT_TYPE,), False)


def read_earlier(channel: Channel, algorithm: str) -> Artifact:
    """The model in a channel that holds a model's files, or the archive (model.tar.gz) that a job leaves.

    Raises UserError for an archive that cannot be unpacked and for a model of another algorithm.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = channel.folder
        for archive in (path for path in channel.files if path.name == "model.tar.gz"):
            try:
                with tarfile.open(archive) as packed:
                    packed.extractall(scratch, filter="data")
            except (tarfile.TarError, EOFError, OSError) as error:
                raise UserError(f"{archive} cannot be unpacked ({error}): copy the job's archive again") from None
            folder = Path(scratch)
        artifact = Artifact.read(folder)
    if artifact.algorithm != algorithm:
        raise UserError(f"channel model holds a model of {artifact.algorithm}: this job needs one of {algorithm}")
    return artifact
