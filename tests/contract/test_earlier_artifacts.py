"""Models trained by an earlier version load, and answer as they did then."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from polyadic.algorithms import named
from polyadic.artifact import Artifact
from polyadic.formats import json
from tests.contract.test_algorithms import assert_close

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[1] / "data" / "artifacts").glob("*/model.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_earlier_model_answers_as_it_did(folder: Path) -> None:
    expected = orjson.loads((folder / "expected.json").read_bytes())
    artifact = Artifact.read(folder)
    model = named(artifact.algorithm).load(artifact)
    predictions = model.predict([model.parse(instance, {}) for instance in expected["instances"]])
    assert_close(json.decode(json.encode(predictions)), expected["answers"])
    assert len(predictions) == len(expected["answers"]) > 1
