"""lda: topics of a corpus by moment tensors, refined by the documents; a drop-in for SageMaker's LDA on many hosts."""

from polyadic.algorithms.lda.fit import fit
from polyadic.algorithms.lda.hyperparameters import Hyperparameters
from polyadic.algorithms.lda.model import load, write_model_report
from polyadic.algorithms.lda.tiny import TINY_JOB
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.channels import ChannelSpec
from polyadic.jobs.metrics import Metric
from polyadic.readers.corpus_files import content_types
from polyadic.readers.vocabulary import VOCABULARY

__all__ = ["ALGORITHM", "Hyperparameters", "fit", "load"]

ALGORITHM = Algorithm(
    name="lda",
    summary="topics of documents by moment tensors, refined by expectation-maximisation; a drop-in for SageMaker's LDA",
    reads="RecordIO, CSV, JSON Lines, lda-c, docword",
    answers="topic mixtures, in LDA's format",
    hyperparameters=Hyperparameters,
    channels=(
        ChannelSpec("train", "counts of terms, one document per record", content_types(), pipes=True),
        ChannelSpec("test", "the same: documents to score the topics by", content_types(), False, pipes=True),
        ChannelSpec(VOCABULARY, "the terms, one per line, in the order of their numbers", ("text/plain",), False),
    ),
    metrics=(
        Metric("train pwll", "score", minimize=False, about="mean log-likelihood of a token, as the refinement has it"),
        Metric("train NPMI", "score", minimize=False, about="coherence of a topic's 10 top words, mean of the topics"),
        Metric("train UMass", "score", minimize=False, about="the same by another measure"),
        Metric("train topic_diversity", "score", minimize=False, about="different words among topics' 25 top words"),
        Metric(
            "test pwll",
            "score",
            minimize=False,
            objective=True,
            about="mean log-likelihood of a token of the second half of each document, given the first half",
        ),
        Metric("test perplexity", "score", about="exp(-pwll)"),
    ),
    fit=fit,
    load=load,
    report=write_model_report,
    tiny_job=TINY_JOB,
    guessed=True,
)
