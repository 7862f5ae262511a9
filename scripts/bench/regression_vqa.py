"""Questions about pictures by jobs with their defaults: easy-VQA, its official split, errors by kind of question.

Nothing is chosen by test samples: a job reads its train channel, and the model that it leaves is asked once.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import statistics
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from polyadic.algorithms import tensor_regression
from polyadic.algorithms.tensor_regression.model import Model
from polyadic.distributed import World
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.training.checkpoint import NoCheckpoints
from scripts.bench.measure import OURS, Bound, Case, UnavailableError

SEEDS = 3
FUSIONS = ("lmf", "concat")
QUESTION = "the question alone"
SHAPES = ("circle", "rectangle", "triangle")
KINDS = ("yes or no", "which shape", "which colour")
ASKED_AT_ONCE = 500

Rows = list[tuple[str, str, str]]
"""A picture's file, a question, its answer."""


def run() -> Iterator[Case]:
    """Wrong answers in per cent: of the fusion by default, of the others, and of the question without a picture."""
    spec = importlib.util.find_spec("easy_vqa")
    if spec is None or spec.origin is None:
        raise UnavailableError("easy-vqa is not installed: pip install --no-deps easy-vqa==1.0")
    data = Path(spec.origin).parent / "data"
    train, test = _rows(data / "train"), _rows(data / "test")
    wrong: dict[str, list[dict[str, float]]] = {}
    weights = {}
    for program in (*FUSIONS, QUESTION):
        models = [_trained(data, train, program, seed) for seed in range(SEEDS)]
        weights[program] = sum(value.numel() for value in models[0].artifact().tensors.values())
        wrong[program] = [_wrong(model, data / "test" / "images", test) for model in models]
    for kind in ("all", *KINDS):
        count = sum(kind in ("all", _kind(answer)) for *_, answer in test)
        of_kind = {program: [100 * each[kind] for each in runs] for program, runs in wrong.items()}
        means = {_named(program): statistics.fmean(errors) for program, errors in of_kind.items()}
        yield Case(
            key=kind.replace(" ", "_"),
            title=f"easy-VQA, {count:,} questions of its test: {kind}",
            figures=means,
            spreads={_named(program): statistics.stdev(errors) for program, errors in of_kind.items()},
            unit="% wrong",
            bounds=[Bound("accuracy", 1 - means[OURS] / 100, 0.995, "value at least")] if kind == "all" else [],
            facts={"numbers of a model": ", ".join(f"{_named(name)} {count:,}" for name, count in weights.items())},
        ).reported()


def _named(program: str) -> str:
    return OURS if program == FUSIONS[0] else f"fusion={program}" if program in FUSIONS else program


def _rows(folder: Path) -> Rows:
    questions: list[tuple[str, str, int]] = json.loads((folder / "questions.json").read_text())
    return [(f"{number}.png", question, answer) for question, answer, number in questions]


def _trained(data: Path, train: Rows, program: str, seed: int) -> Model:
    """What a job leaves that knows the type of its labels, its seed and, but for ours, its fusion."""
    given: dict[str, Any] = {"predictor_type": "multiclass_classifier", "seed": seed}
    header: tuple[str, ...] = ("file", "question", "label")
    if program in FUSIONS[1:]:
        given["fusion"] = program
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        told: list[tuple[str, ...]] = list(train)
        if program == QUESTION:
            header, told = header[1:], [row[1:] for row in train]
        else:
            for name in {name for name, *_ in train}:
                (folder / name).symlink_to(data / "train" / "images" / name)
        with (folder / "questions.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *told])
        job = _Quiet(
            algorithm="tensor-regression",
            hyperparameters=tensor_regression.Hyperparameters(**given),
            world=World.alone(),
            channels={"train": Channel("train", folder, tuple(sorted(folder.iterdir())))},
            checkpoints=NoCheckpoints(),
        )
        return tensor_regression.fit(job)


class _Quiet(Job[tensor_regression.Hyperparameters]):
    """A job whose lines are not printed."""

    def line(self, text: str) -> None:
        """Prints nothing."""

    def note(self, text: str) -> None:
        """Prints nothing."""


def _wrong(model: Model, pictures: Path, test: Rows) -> dict[str, float]:
    """The share of wrong answers, of all and of each kind of question."""
    shown = len(model.modalities.each) > 1
    encoded = {name: b64encode((pictures / name).read_bytes()).decode() for name, *_ in test} if shown else {}
    told = []
    for first in range(0, len(test), ASKED_AT_ONCE):
        asked = [
            {"picture": encoded[name], "question": question} if shown else {"question": question}
            for name, question, _ in test[first : first + ASKED_AT_ONCE]
        ]
        told += [answer["predicted_label"] for answer in model.predict([model.parse(each, {}) for each in asked])]
    wrong = [answer != right for answer, (*_, right) in zip(told, test, strict=True)]
    return {kind: _share(wrong, [kind in ("all", _kind(right)) for *_, right in test]) for kind in ("all", *KINDS)}


def _kind(answer: str) -> str:
    return KINDS[0] if answer in ("yes", "no") else KINDS[1] if answer in SHAPES else KINDS[2]


def _share(wrong: Sequence[bool], among: Sequence[bool]) -> float:
    return sum(one and own for one, own in zip(wrong, among, strict=True)) / sum(among)
