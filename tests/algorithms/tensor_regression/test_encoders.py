"""Every encoder of every kind of modality: a job trains with it, and its model answers the same once it is read."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyadic.algorithms.tensor_regression.encoders import ENCODERS
from polyadic.artifact import Artifact
from tests.helpers.samples import pictures_and_questions, planted, table
from tests.helpers.tiny_jobs import job, lines

QUICK = {
    "epochs": "2", "mini_batch_size": "16", "encoder_dimension": "4", "convolution_channels": "4", "rank": "1",
    "wd": "0.01",
}  # fmt: skip
X, Y = planted(40)
PICTURES = pictures_and_questions(30)
SHOWN = base64.b64encode(PICTURES["red.png"]).decode()
TEXTS = ["a good film", "a bad film", "good", "a bad, bad day", "good day"]
# Of a kind: the predictor_type, the files, the modality, and what is asked.
KINDS: dict[str, tuple[str, dict[str, bytes], str, dict[str, Any]]] = {
    "tensor": ("regressor", {"a.jsonl": table(X, Y)}, "features", {"features": X[0].tolist()}),
    "picture": ("binary_classifier", PICTURES, "picture", {"picture": SHOWN, "question": "is it red?"}),
    "text": (
        "binary_classifier",
        {"a.jsonl": lines([{"text": text, "label": int("good" in text)} for text in TEXTS * 8])},
        "text",
        {"text": "a good film"},
    ),
}
CASES = [(kind, name) for name, encoder in ENCODERS.items() for kind in encoder.takes]


@pytest.mark.parametrize(("kind", "encoder"), CASES)
def test_a_job_trains_and_its_model_answers_the_same_once_read(kind: str, encoder: str, tmp_path: Path) -> None:
    predictor, files, modality, instance = KINDS[kind]
    settings = {**QUICK, "predictor_type": predictor, "encoders": f"{modality}={encoder}"}
    algorithm, prepared = job(settings, tmp_path / "job", {"train": files})
    model: Any = algorithm.fit(prepared)
    assert model.modalities.each[[each.name for each in model.modalities.each].index(modality)].encoder.name == encoder
    model.artifact().write(tmp_path / "model")
    again = algorithm.load(Artifact.read(tmp_path / "model"))
    for asked in (instance, again.example()):
        [before], [after] = (each.predict([each.parse(asked, {})]) for each in (model, again))
        assert after.keys() == before.keys()
        np.testing.assert_allclose(after["score"], before["score"], rtol=1e-5, atol=1e-6)


def test_every_kind_of_column_has_an_encoder() -> None:
    assert {kind for kind, _ in CASES} == set(KINDS)
