"""The model of an earlier job, from channel `model`."""

from __future__ import annotations

from polyadic.artifact import ARCHIVE, Artifact
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
    archive = next((path for path in channel.files if path.name == ARCHIVE), channel.folder)
    artifact = Artifact.read(archive)
    if artifact.algorithm != algorithm:
        raise UserError(f"channel model holds a model of {artifact.algorithm}: this job needs one of {algorithm}")
    return artifact
