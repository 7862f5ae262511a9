"""Jobs of algorithm lda: SageMaker's hyperparameters, two ranks as one, checkpoints, measures, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch

from polyadic.algorithms import ALGORITHMS, choose
from polyadic.algorithms import lda as algorithm
from polyadic.algorithms.lda.model import write_model_report
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import recordio
from polyadic.readers.corpus import read_corpus
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_jobs import LDA, Kept, documents, job, rows_csv, train


def fit(folder: Path, counts: Any, **changes: str) -> Any:
    one, prepared = job({**LDA, **changes}, folder, {"train": {"a.csv": rows_csv(np.asarray(counts))}})
    return one.fit(prepared)


def test_the_hyperparameters_of_sagemakers_own_job_name_the_algorithm() -> None:
    raw = {"num_topics": "5", "feature_dim": "25", "mini_batch_size": "5400", "alpha0": "1.0", "tol": "1e-08"}
    chosen, settings = choose({**raw, "max_restarts": "10", "max_iterations": "1000"})
    assert chosen.name == "lda" and isinstance(settings, algorithm.Hyperparameters)
    assert (settings.num_topics, settings.mini_batch_size, settings.tol) == (5, 5400, 1e-8)


def test_the_two_kinds_of_documents_become_the_two_topics(tmp_path: Path) -> None:
    for name, changes in (("refined", {"refine_iterations": "30"}), ("moments", {"refine_iterations": "0"})):
        model = train("lda", tmp_path / name, changes)
        beta = model.topics.beta.numpy()
        evens = beta[:, ::2].sum(1)
        assert evens.max() > 0.7 and evens.min() < 0.3, name
        np.testing.assert_allclose(beta.sum(1), 1, rtol=1e-6)
        even, odd, empty = (
            model.predict([model.parse({"features": row}, {})])[0]["topic_mixture"]
            for row in ([5, 0] * 4, [0, 5] * 4, [0] * 8)
        )
        assert even[int(evens.argmax())] > 0.8 and odd[int(evens.argmin())] > 0.8
        np.testing.assert_allclose(empty, (model.topics.alpha / model.topics.alpha.sum()).numpy())


def test_the_most_likely_of_several_starts_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train("lda", tmp_path / "four", {"refine_starts": "4", "refine_iterations": "20"})
    printed = capsys.readouterr()
    assert "the most likely of 4 start(s)" in printed.err
    assert [f"iteration={number}, train pwll" in printed.out for number in (10, 15, 20)] == [False, True, True]
    assert float(model.topics.beta[:, ::2].sum(1).max()) > 0.7
    stopped = train("lda", tmp_path / "stopped", {"refine_starts": "2"}, stop_requested=lambda: True)
    assert stopped.topics.beta.shape == (2, 8)


def test_batches_change_nothing_but_memory(tmp_path: Path) -> None:
    whole, apart = (train("lda", tmp_path / size, {"mini_batch_size": size}) for size in ("40", "7"))
    torch.testing.assert_close(whole.topics.beta, apart.topics.beta, rtol=0, atol=1e-5)


def test_measures_are_printed_in_sagemakers_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train("lda", tmp_path)
    printed = capsys.readouterr().out
    assert "#quality_metric: host=algo-1, iteration=6, train pwll <score>=-" in printed
    assert "#quality_metric: host=algo-1, test pwll <score>=-" in printed
    assert set(model.metrics) == {
        "train:NPMI",
        "train:UMass",
        "train:topic_diversity",
        "test:pwll",
        "test:perplexity",
    }
    assert model.metrics["test:perplexity"] == pytest.approx(np.exp(-model.metrics["test:pwll"]))
    assert 1 < model.metrics["test:perplexity"] < 8


def test_a_job_goes_on_from_its_checkpoint_exactly(tmp_path: Path) -> None:
    calls, kept = 0, Kept()

    def killed() -> bool:
        nonlocal calls
        calls += 1
        return calls >= 3

    whole = train("lda", tmp_path / "whole")
    train("lda", tmp_path / "cut", checkpoints=kept, stop_requested=killed)
    assert kept.snapshots[-1].step == 3
    again = train("lda", tmp_path / "again", checkpoints=kept)
    assert torch.equal(again.topics.beta, whole.topics.beta) and torch.equal(again.topics.alpha, whole.topics.alpha)


def on_a_rank(world: World, folder: str) -> tuple[Any, Any, dict[str, float]]:
    model = train("lda", Path(folder) / str(world.rank), world=world)
    return model.topics.beta, model.topics.alpha, dict(model.metrics)


def test_two_ranks_find_what_one_finds(tmp_path: Path) -> None:
    beta, alpha, metrics = on_a_rank(World.alone(), str(tmp_path / "alone"))
    answers = on_ranks(2, on_a_rank, str(tmp_path / "together"))
    for answer in answers:
        torch.testing.assert_close(answer[0], beta, rtol=0, atol=1e-5)
        torch.testing.assert_close(answer[1], alpha, rtol=1e-4, atol=0)
        for name, value in metrics.items():
            assert answer[2][name] == pytest.approx(value, rel=1e-4), name


def test_words_of_any_script_can_be_drawn(tmp_path: Path) -> None:
    words = "".join(f"\u8bcd $\\frac_{number}\n" for number in range(8)).encode()
    channels = {**ALGORITHMS["lda"].tiny_job.channels(), "vocabulary": {"terms.txt": words}}
    one, prepared = job(LDA, tmp_path, channels)
    model: Any = one.fit(prepared)
    write_model_report(tmp_path / "report", model)
    assert (tmp_path / "report" / "topics.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_shows_words_and_topics(tmp_path: Path) -> None:
    write_model_report(tmp_path / "report", train("lda", tmp_path / "data"))
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"alpha.npy", "beta.npy", "metrics.json", "topics.json", "topics.png", "report.html"}
    assert "test:pwll" in orjson.loads((tmp_path / "report" / "metrics.json").read_bytes())
    described = orjson.loads((tmp_path / "report" / "topics.json").read_bytes())
    assert [one["topic"] for one in described] == [0, 1]
    assert all(word.startswith("term") for word in described[0]["words"])
    text = (tmp_path / "report" / "report.html").read_text()
    assert "term0" in text and "test:perplexity" in text and "data:image/png;base64," in text


def test_records_and_tables_are_instances_too(tmp_path: Path) -> None:
    model = train("lda", tmp_path)
    rows = recordio.decode(recordio.encode(model_rows()))
    parsed = [model.parse(one, {}) for one in model.from_records(rows)]
    tabled = [model.parse(one, {}) for one in model.from_table(documents(3).astype(float))]
    assert model.predict(parsed) == model.predict(tabled)
    assert model.to_table(model.predict(parsed)).shape == (3, 2)


def model_rows() -> Any:
    from polyadic.formats import Row, pack_rows

    return pack_rows([Row(number, None, row) for number, row in enumerate(documents(3).tolist(), 1)])


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ({"features": [1, 2]}, "it has 2 terms where the model has 8"),
        ({"features": [1, 2, 3, 4, 5, 6, 7, -1]}, "the count of term 7, -1, is negative"),
        ({"data": {"features": {"keys": [8], "values": [1]}}}, "the key 8 is beyond the 8 terms of the model"),
        ({"features": "words"}, "holds no counts"),
    ],
)
def test_what_is_no_document_is_refused(instance: object, message: str, tmp_path: Path) -> None:
    model = train("lda", tmp_path, {"refine_iterations": "0"})
    with pytest.raises(UserError, match=message):
        model.parse(instance, {})


def test_corpora_without_topics_are_refused(tmp_path: Path) -> None:
    alone = {"refine_iterations": "0"}
    with pytest.raises(UserError, match="carries 1 at most"):
        fit(tmp_path / "alike", [[1] * 8] * 20, **alone)
    with pytest.raises(UserError, match="fewer than 3 words"):
        fit(tmp_path / "short", np.eye(8, dtype=int))
    with pytest.raises(UserError, match="num_topics is 7, but the second moment"):
        fit(tmp_path / "many", documents(), num_topics="7", **alone)
    channels = {**ALGORITHMS["lda"].tiny_job.channels(), "vocabulary": {"terms.txt": b"one\ntwo\n"}}
    one, prepared = job(LDA, tmp_path / "words", channels)
    with pytest.raises(UserError, match="has 2 terms and the corpus has 8"):
        one.fit(prepared)


@pytest.mark.parametrize("refine_iterations", ["100", "0"])
def test_a_stop_word_hides_no_topics(tmp_path: Path, refine_iterations: str) -> None:
    random, counts = np.random.default_rng(0), np.zeros((300, 31), dtype=int)
    for document, topic in enumerate(random.integers(3, size=300)):
        counts[document, 0], words = 18, slice(1 + 10 * topic, 11 + 10 * topic)
        counts[document, words] = random.multinomial(12, np.full(10, 0.1))
    changes = {"num_topics": "3", "feature_dim": "31", "refine_iterations": refine_iterations}
    beta = fit(tmp_path, counts, **changes).topics.beta[:, 1:].reshape(3, 3, 10).sum(2)
    assert sorted(beta.argmax(1).tolist()) == [0, 1, 2] and float(beta.max(1).values.min()) > 0.35


def test_a_refinement_goes_on_where_the_moments_tell_too_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path / "alike", [[1] * 8] * 20).topics.beta.shape == (2, 8)
    printed = capsys.readouterr().err
    assert "the second moment has rank 1: the refinement begins with 1 random topics" in printed
    nine = np.eye(9, 8, dtype=int) + np.eye(9, 8, -1, dtype=int) + np.eye(9, 8, 2, dtype=int)
    assert fit(tmp_path / "nine", nine, num_topics="6").topics.beta.shape == (6, 8)
    assert "eigenvalues of the second moment" in capsys.readouterr().err


@pytest.mark.parametrize("test", [b"", b"0,0,0,0,0,0,0,0\n"])
def test_a_test_channel_with_nothing_to_score_costs_its_metrics_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], test: bytes
) -> None:
    channels = {"train": {"a.csv": rows_csv(documents())}, "test": {"b.csv": test}}
    one, prepared = job(LDA, tmp_path, channels)
    model: Any = one.fit(prepared)
    assert model.topics.beta.shape == (2, 8) and not any(name.startswith("test") for name in model.metrics)
    assert "WARNING: channel test: nothing can be scored" in capsys.readouterr().err


def test_a_corpus_larger_than_memory_lies_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    text = "".join(",".join(map(str, row)) + "\n" for row in random.integers(0, 3, (300, 7)))
    files = {"a.csv": text.encode(), "b.csv": text.encode()}
    _, prepared = job(LDA | {"feature_dim": "7"}, tmp_path, {"train": files})
    held = read_corpus(prepared, "train", 7).corpus
    monkeypatch.setattr("polyadic.readers.corpus.MOST_NONZEROS_IN_MEMORY", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mapped = read_corpus(prepared, "train", 7).corpus
    assert len(held.words) > 1000 and not list(tmp_path.glob("polyadic-corpus-*"))
    for name in ("offsets", "words", "counts", "lengths", "frequencies"):
        assert torch.equal(getattr(mapped, name), getattr(held, name)), name
