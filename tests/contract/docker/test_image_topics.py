"""A job for SageMaker's LDA in the image: AWS's hyperparameters and RecordIO file, on one host and on two."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.torch import load

from polyadic.algorithms import choose
from polyadic.distributed import World
from polyadic.formats import Rows, recordio
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.topics.corpus import Corpus
from polyadic.topics.mixtures import mixtures
from polyadic.topics.spectral import Topics
from polyadic.training.checkpoint import NoCheckpoints
from tests.helpers.image_jobs import made
from tests.helpers.image_sdk import REPOSITORY, Sdk, free_port

NIPS = REPOSITORY.parent / "shared" / "data" / "nips-train_1.pbr"
TERMS, TOPICS = 12419, 5
AWS = {"num_topics": TOPICS, "feature_dim": TERMS, "mini_batch_size": 350, "alpha0": 1.0}
HYPERPARAMETERS = {**AWS, "refine_iterations": 20}
ASKED = 3


@pytest.mark.timeout(240, func_only=True)
@pytest.mark.parametrize("hosts", [1, 2])
def test_the_job_of_aws_trains_and_serves(sdk2: Sdk, image: str, scratch: Path, hosts: int) -> None:
    rows = recordio.decode(nips().read_bytes())
    shutil.copy(nips(), made(scratch / "documents"))
    np.save(scratch / "asked.npy", dense(rows)[:ASKED])
    (scratch / "asked.pbr").write_bytes(first_records(ASKED))
    answers = sdk2.run(
        "sdk2_topics.py" if hosts == 2 else "sdk2_fit.py", image=image, hosts=hosts, port=free_port(),
        hyperparameters=HYPERPARAMETERS, content_type="application/x-recordio-protobuf",
        channels=dict.fromkeys(("train", "test"), str(scratch / "documents")), output=str(scratch / "output"),
        counts=str(scratch / "asked.npy"), records=str(scratch / "asked.pbr"),
    )  # fmt: skip

    scores = re.findall(r"#quality_metric: host=\S+, test pwll <score>=(\S+)", sdk2.printed)
    assert len(scores) == 1, sdk2.printed[-4000:]
    assert float(scores[0]) > unigram_pwll(rows)

    expected, topics = topics_of_one_process(), topics_in(scratch / "output" / "model.tar.gz")
    assert (topics.beta - expected.beta).abs().sum(1).max() < 1e-5
    found = mixtures(corpus_of(rows), topics)
    if hosts == 2:
        assert len(answers) == 6
        for kind, mixed in answers.items():
            assert np.shape(mixed) == (ASKED, TOPICS), kind
            np.testing.assert_allclose(np.sum(mixed, 1), 1, atol=1e-6, err_msg=kind)
            np.testing.assert_allclose(mixed, found[:ASKED], atol=1e-5, err_msg=kind)


def nips() -> Path:
    if not NIPS.exists():
        pytest.skip(f"{NIPS.name}, AWS's file of NIPS papers, is not in ../shared/data")
    return NIPS


def first_records(count: int) -> bytes:
    """The first records of the file, as they stand in it."""
    payloads = islice(recordio.payloads(io.BytesIO(nips().read_bytes()), NIPS.name), count)
    return nips().read_bytes()[: sum(8 + len(one) + -len(one) % 4 for one in payloads)]


def dense(rows: Rows) -> NDArray[np.float32]:
    """Documents x terms."""
    counts = np.zeros((len(rows), TERMS), np.float32)
    counts[np.repeat(np.arange(len(rows)), np.diff(rows.offsets)), rows.columns] = rows.values
    return counts


def corpus_of(rows: Rows) -> Corpus:
    documents = [(columns.tolist(), values.tolist()) for columns, values, _ in rows.each()]
    return Corpus.of(documents, TERMS)


def unigram_pwll(rows: Rows) -> float:
    """The mean log-likelihood of a token by how often its term occurs in all of the documents: no topics at all."""
    counts = np.bincount(rows.columns, rows.values)
    counts = counts[counts > 0]
    return float(counts @ np.log(counts / counts.sum()) / counts.sum())


def topics_of_one_process() -> Topics:
    algorithm, settings = choose(HYPERPARAMETERS)
    channels = {"train": Channel("train", NIPS.parent, (nips(),))}
    job = Job(
        algorithm=algorithm.name,
        hyperparameters=settings,
        world=World.alone(),
        channels=channels,
        checkpoints=NoCheckpoints(),
    )
    model: Any = algorithm.fit(job)
    found: Topics = model.topics
    return found


def topics_in(archive: Path) -> Topics:
    with tarfile.open(archive) as files:
        member = next(one for one in files if Path(one.name).name == "model.safetensors")
        file = files.extractfile(member)
        assert file is not None
        tensors = load(file.read())
    return Topics(tensors["beta"].double(), tensors["alpha"].double())
