"""What topics show of themselves: their top words and weights, topics against documents, and one page of it all."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
from torch import Tensor

from polyadic.reports.page import document, figure, table, write_page
from polyadic.topics.coherence import top_words
from polyadic.topics.spectral import Topics

WORDS = 12


def write_report(
    folder: Path,
    topics: Topics,
    vocabulary: Sequence[str] | None,
    metrics: Mapping[str, float],
    coherences: Sequence[float],
    shown: Tensor,
) -> None:
    """Writes beta.npy and alpha.npy, metrics.json, topics.json, topics.png and report.html, that one last.

    coherences: NPMI of each topic; shown: mixtures of some documents (D x K), which may be none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "beta.npy", topics.beta.numpy(), allow_pickle=False)
    np.save(folder / "alpha.npy", topics.alpha.numpy(), allow_pickle=False)
    described = describe(topics, vocabulary, coherences)
    (folder / "topics.json").write_bytes(orjson.dumps(described, option=orjson.OPT_INDENT_2) + b"\n")
    (folder / "metrics.json").write_bytes(orjson.dumps(metrics, option=orjson.OPT_INDENT_2) + b"\n")
    picture = draw(topics, [_label(one) for one in described], shown)
    (folder / "topics.png").write_bytes(picture)
    write_page(folder, page(described, metrics, picture))


def describe(topics: Topics, vocabulary: Sequence[str] | None, coherences: Sequence[float]) -> list[dict[str, object]]:
    """A topic's number, share of the Dirichlet's parameters, NPMI, and its top words with their probabilities."""
    found: list[dict[str, object]] = []
    shares = (topics.alpha / topics.alpha.sum()).tolist()
    for number, words in enumerate(top_words(topics, WORDS).tolist()):
        named = {(vocabulary[word] if vocabulary else str(word)): float(topics.beta[number, word]) for word in words}
        measured = {"NPMI": coherences[number]} if coherences else {}
        found.append(
            {"topic": number, "alpha": float(topics.alpha[number]), "share": shares[number]}
            | measured
            | {"words": named}
        )
    return found


def _label(described: dict[str, object]) -> str:
    words = described["words"]
    assert isinstance(words, dict)
    # A dollar sign would begin a formula.
    return f"{described['topic']}  {', '.join(list(words)[:3])}".replace("$", r"\$")


def draw(topics: Topics, labels: Sequence[str], shown: Tensor) -> bytes:
    """Topics against documents, these in the order of their main topic, and the Dirichlet's parameters beside them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.5 + 0.22 * len(topics.alpha)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(4, 1), sharey=True)
    mixed = shown.numpy()
    if len(mixed):
        main = mixed.argmax(1)
        order = np.lexsort((-mixed.max(1), main))
        left.imshow(mixed[order].T, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    left.set(xlabel=f"{len(mixed)} documents, by their main topic", yticks=range(len(labels)), yticklabels=labels)
    right.barh(range(len(labels)), topics.alpha.numpy())
    right.set(xlabel="alpha")
    out = io.BytesIO()
    with warnings.catch_warnings():
        # A word in a script that the font lacks is drawn as boxes; the log need not name every one of them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(out, format="png", dpi=100)
    return out.getvalue()


def page(described: Sequence[dict[str, object]], metrics: Mapping[str, float], picture: bytes) -> str:
    """One HTML page without any file beside it."""
    rows = []
    for one in described:
        words = one["words"]
        assert isinstance(words, dict)
        coherence = f"{one['NPMI']:.3f}" if "NPMI" in one else ""
        rows.append((one["topic"], f"{one['share']:.3f}", coherence, ", ".join(words)))
    parts = [
        "<p>Share: of the Dirichlet's parameters. NPMI: coherence of the 10 top words.</p>\n",
        table("Topics", rows, ("topic", "share", "NPMI", "top words")),
        table("Measures", ((name, f"{value:.4g}") for name, value in metrics.items())),
        figure("topics.png", "Topics against documents", picture),
    ]
    return document(f"{len(described)} topics", parts)
