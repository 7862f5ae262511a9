"""A report of topics: their top words and weights, topics against documents, and a page with all of it.

Shapes: K topics, V terms, D documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
from torch import Tensor

from polyadic.reports.page import document, figure, table, write_page
from polyadic.reports.style import as_png, missing_glyphs_ignored
from polyadic.topics.coherence import top_words
from polyadic.topics.spectral import Topics

WORDS_PER_TOPIC = 12


class TopicSummary(NamedTuple):
    """A topic's number, its Dirichlet parameter and share of their sum, its NPMI if known, its top words."""

    number: int
    alpha: float
    share: float
    npmi: float | None
    words: dict[str, float]

    @property
    def label(self) -> str:
        """The number and three words; a dollar sign is escaped, for it would begin a formula."""
        return f"{self.number}  {', '.join(list(self.words)[:3])}".replace("$", r"\$")

    @property
    def as_json(self) -> dict[str, object]:
        """What topics.json holds of the topic."""
        coherence = {} if self.npmi is None else {"NPMI": self.npmi}
        return {"topic": self.number, "alpha": self.alpha, "share": self.share, **coherence, "words": self.words}


def write_report(
    folder: Path,
    *,
    topics: Topics,
    vocabulary: Sequence[str] | None,
    metrics: Mapping[str, float],
    coherences: Sequence[float],
    sample_mixtures: Tensor,
) -> None:
    """Writes beta.npy (K x V), alpha.npy (K), metrics.json, topics.json, topics.png and, last of all, report.html.

    coherences: NPMI of each topic. sample_mixtures: the mixtures of some documents (D x K, D may be 0).
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "beta.npy", topics.beta.numpy(), allow_pickle=False)
    np.save(folder / "alpha.npy", topics.alpha.numpy(), allow_pickle=False)
    summaries = summarise(topics, vocabulary, coherences)
    described = [summary.as_json for summary in summaries]
    (folder / "topics.json").write_bytes(orjson.dumps(described, option=orjson.OPT_INDENT_2) + b"\n")
    (folder / "metrics.json").write_bytes(orjson.dumps(metrics, option=orjson.OPT_INDENT_2) + b"\n")
    picture = draw(topics, [summary.label for summary in summaries], sample_mixtures)
    (folder / "topics.png").write_bytes(picture)
    write_page(folder, page(summaries, metrics, picture))


def summarise(topics: Topics, vocabulary: Sequence[str] | None, coherences: Sequence[float]) -> list[TopicSummary]:
    """The topics in words; without a vocabulary a word is its number. coherences: K values, or none."""
    alphas, shares = topics.alpha.tolist(), (topics.alpha / topics.alpha.sum()).tolist()
    summaries = []
    for number, words in enumerate(top_words(topics, WORDS_PER_TOPIC).tolist()):
        named = {(vocabulary[word] if vocabulary else str(word)): float(topics.beta[number, word]) for word in words}
        npmi = coherences[number] if coherences else None
        summaries.append(TopicSummary(number, alphas[number], shares[number], npmi, named))
    return summaries


def draw(topics: Topics, labels: Sequence[str], sample_mixtures: Tensor) -> bytes:
    """A PNG of topics against documents in the order of their main topic, and the Dirichlet's parameters beside it.

    sample_mixtures: D x K.
    """
    from matplotlib.figure import Figure

    picture = Figure(figsize=(10, 1.5 + 0.22 * len(topics.alpha)), dpi=100, layout="constrained")
    left, right = picture.subplots(1, 2, width_ratios=(4, 1), sharey=True)
    mixtures_DK = sample_mixtures.numpy()
    if len(mixtures_DK):
        main_topic = mixtures_DK.argmax(1)
        order = np.lexsort((-mixtures_DK.max(1), main_topic))
        left.imshow(mixtures_DK[order].T, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    ticks = range(len(labels))
    left.set(xlabel=f"{len(mixtures_DK)} documents, by their main topic", yticks=ticks, yticklabels=labels)
    right.barh(ticks, topics.alpha.numpy())
    right.set(xlabel="alpha")
    with missing_glyphs_ignored():
        return as_png(picture)


def page(summaries: Sequence[TopicSummary], metrics: Mapping[str, float], picture: bytes) -> str:
    """An HTML page that needs no other file and no network."""
    rows = [
        (
            summary.number,
            f"{summary.share:.3f}",
            "" if summary.npmi is None else f"{summary.npmi:.3f}",
            ", ".join(summary.words),
        )
        for summary in summaries
    ]
    parts = [
        "<p>Share: of the Dirichlet's parameters. NPMI: coherence of the 10 top words.</p>\n",
        table("Topics", rows, ("topic", "share", "NPMI", "top words")),
        table("Measures", ((name, f"{value:.4g}") for name, value in metrics.items())),
        figure("topics.png", "Topics against documents", picture),
    ]
    return document(f"{len(summaries)} topics", parts)
