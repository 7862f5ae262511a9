"""Trained topics that answer with the topic mixtures of documents.

Shapes: K topics, V terms, D documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.algorithms.lda.hyperparameters import Hyperparameters
from polyadic.artifact import Artifact
from polyadic.formats import UNSTATED, Rows, offsets_of, pack_rows, parse_json_row
from polyadic.jobs.model import Schemas
from polyadic.readers.corpus import Width, corpus_of
from polyadic.reports.topics import write_report
from polyadic.topics.corpus import Corpus
from polyadic.topics.mixtures import mixtures
from polyadic.topics.spectral import Topics


class Document(NamedTuple):
    """The distinct words of a document, in their order, and how often each is there (float32)."""

    words: NDArray[np.int64]
    counts: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Model:
    """Topics that answer with the topic mixture of a document.

    vocabulary: the V terms. coherences: NPMI of each topic. sample_mixtures: those of a few training documents
    (D x K). The last two are for the report alone.
    """

    settings: Hyperparameters
    topics: Topics
    metrics: Mapping[str, float]
    vocabulary: Sequence[str] | None = None
    coherences: Sequence[float] = ()
    sample_mixtures: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    most_weight: ClassVar[int] = 2**17

    def artifact(self) -> Artifact:
        """`beta` (K x V) and `alpha` (K), both float32."""
        return Artifact(
            algorithm="lda",
            hyperparameters=self.settings.model_dump(),
            tensors={"beta": self.topics.beta.float(), "alpha": self.topics.alpha.float()},
            metadata={} if self.vocabulary is None else {"vocabulary": list(self.vocabulary)},
            metrics=self.metrics,
        )

    def example(self) -> object:
        """A document of one word."""
        return {"data": {"features": {"keys": [0], "shape": [self.topics.terms], "values": [1]}}}

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Document:
        """A document's counts, dense or sparse."""
        return self.parse_together([instance], configuration)[0]

    def parse_together(self, instances: Sequence[object], configuration: Mapping[str, Any]) -> list[Document]:
        """Documents that are checked in a tenth of the time that each alone takes."""
        rows = (parse_json_row(instance)._replace(number=n) for n, instance in enumerate(instances, 1))
        corpus = corpus_of(pack_rows(rows), "features", "document", Width(self.topics.terms, "the model"))
        words, counts = corpus.words.numpy(), corpus.counts.numpy()
        return [Document(words[begin:end], counts[begin:end]) for begin, end in pairwise(corpus.offsets.tolist())]

    def predict(self, instances: list[Document]) -> list[dict[str, Any]]:
        """The topic mixture of each document, all computed together."""
        if not instances:
            return []
        words, counts = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*instances, strict=True))
        offsets = torch.from_numpy(offsets_of(np.array([len(document.words) for document in instances])))
        mixtures_DK = mixtures(Corpus(offsets, words, counts, self.topics.terms), self.topics)
        return [{"topic_mixture": mixture} for mixture in mixtures_DK.tolist()]

    def weight(self, query: Document) -> int:
        """The document itself and its distinct words."""
        return 1 + len(query.words)

    def numbers(self, query: Document) -> int:
        """One for each topic."""
        return len(self.topics.alpha)

    def schemas(self) -> Schemas:
        """Counts of the V terms, dense or sparse, as SageMaker's LDA takes them."""
        count, terms = {"type": "number", "minimum": 0}, self.topics.terms
        sparse = {
            "type": "object",
            "properties": {
                "keys": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": terms - 1}},
                "shape": {"type": "array", "items": {"const": terms}, "minItems": 1, "maxItems": 1},
                "values": {"type": "array", "items": count},
            },
            "required": ["values"],
        }
        dense = {"type": "array", "items": count, "minItems": terms, "maxItems": terms}
        features = {"type": "object", "properties": {"features": {"anyOf": [dense, sparse]}}, "required": ["features"]}
        wrapped = {"type": "object", "properties": {"data": features}, "required": ["data"]}
        share = {"type": "number", "minimum": 0, "maximum": 1}
        topics = len(self.topics.alpha)
        mixture = {"type": "array", "items": share, "minItems": topics, "maxItems": topics}
        return Schemas(
            instance={"anyOf": [features, wrapped]},
            configuration={"type": "object"},
            prediction={
                "type": "object",
                "properties": {"topic_mixture": mixture},
                "required": ["topic_mixture"],
                "additionalProperties": False,
            },
        )

    def from_table(self, table: Any) -> list[Any]:
        """One document per row, one count per term."""
        rows = table if isinstance(table, list) else np.atleast_2d(table).tolist()
        return [{"features": row} for row in rows]

    def to_table(self, predictions: list[dict[str, Any]]) -> NDArray[np.float64]:
        """One mixture per row: D x K."""
        return np.array([prediction["topic_mixture"] for prediction in predictions])

    def from_records(self, rows: Rows) -> list[Any]:
        """One document per record."""
        return [
            {"data": {"features": {"keys": keys.tolist(), "values": values.tolist()} | _shape(width)}}
            for keys, values, width in rows.each()
        ]


def load(artifact: Artifact) -> Model:
    """The model that was written down."""
    return Model(
        settings=Hyperparameters(**artifact.hyperparameters),
        topics=as_served(artifact.tensors["beta"], artifact.tensors["alpha"]),
        metrics=artifact.metrics,
        vocabulary=artifact.metadata.get("vocabulary"),
    )


def as_served(beta: Tensor, alpha: Tensor) -> Topics:
    """The topics of an artifact's float32 tensors (K x V and K), so that what is measured is what will be served."""
    return Topics(beta.float().double(), alpha.float().double())


def write_model_report(folder: Path, model: Model) -> None:
    """Writes tables, pictures and a page of the model's topics into a folder."""
    write_report(
        folder,
        topics=model.topics,
        vocabulary=model.vocabulary,
        metrics=model.metrics,
        coherences=model.coherences,
        sample_mixtures=model.sample_mixtures,
    )


def _shape(width: int) -> dict[str, list[int]]:
    return {} if width == UNSTATED else {"shape": [width]}
