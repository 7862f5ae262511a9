"""What a tensor-regression job may set, and how its settings fit together; Linear Learner's names where it has one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import AfterValidator, BeforeValidator, model_validator

from polyadic.algorithms.tensor_regression.encoders import ENCODERS
from polyadic.errors import UserError, unknown
from polyadic.jobs import hyperparameters as hyper
from polyadic.options import option
from polyadic.regression.losses import LOSSES
from polyadic.regression.weights import WEIGHTS

if TYPE_CHECKING:
    LossName: TypeAlias = str
    WeightName: TypeAlias = str
else:
    LossName = Literal[("auto", *LOSSES)]
    WeightName = Literal[tuple(WEIGHTS)]

LOSSES_OF = {
    "regressor": ("squared", "absolute", "huber", "poisson"),
    "binary_classifier": ("logistic",),
    "multiclass_classifier": ("softmax",),
}
"""The losses of each predictor_type, the usual one first."""


def _rank(text: str) -> str:
    """`auto`, a number, or a list of them; ValueError for anything else."""
    if text.lower() == "auto":
        return "auto"
    parts = text.strip().strip("[]()").split(",")
    if not all(re.fullmatch(r"\s*\d{1,6}\s*", part) and int(part) > 0 for part in parts):
        raise ValueError("it must be auto, a number of 1 or more, or a list such as [3,3,2]")
    return str([int(part) for part in parts]) if "[" in text or len(parts) > 1 else str(int(parts[0]))


def _class_weights(text: str) -> str:
    """`none`, `balanced`, or a list of numbers; ValueError for anything else."""
    if text.lower() in ("none", "balanced"):
        return text.lower()
    try:
        weights = [float(part) for part in text.strip().strip("[]()").split(",")]
    except ValueError:
        weights = []
    if not weights or not all(0 <= weight < 1e30 for weight in weights) or not any(weights):
        raise ValueError("it must be none, balanced, or a list with a number of 0 or more for each class")
    return str(weights)


def _encoders(text: str) -> str:
    """`auto`, or an encoder for each of some modalities: picture=convolution,question=bag, or the same as JSON."""
    if text.lower() == "auto":
        return "auto"
    try:
        pairs = orjson.loads(text)
    except orjson.JSONDecodeError:
        pairs = dict(part.split("=", 1) for part in text.split(",")) if "=" in text else None
    if not isinstance(pairs, dict) or not pairs:
        raise ValueError("it must be auto, or such as picture=convolution,question=bag")
    named = {str(name).strip(): str(encoder).strip() for name, encoder in pairs.items()}
    for encoder in named.values():
        if encoder not in ENCODERS:
            raise ValueError(unknown("encoder", encoder, list(ENCODERS)))
    return orjson.dumps(named).decode()


def _as_text(value: Any) -> Any:
    """Numbers, lists and mappings as the text that a job would write."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


RankText = Annotated[str, BeforeValidator(_as_text), AfterValidator(_rank)]
ClassWeightsText = Annotated[str, BeforeValidator(_as_text), AfterValidator(_class_weights)]
EncodersText = Annotated[str, BeforeValidator(_as_text), AfterValidator(_encoders)]


class Hyperparameters(hyper.Hyperparameters):
    """What a tensor-regression job may set."""

    predictor_type: Literal["regressor", "binary_classifier", "multiclass_classifier"] = option(
        "what is told of a sample: a number, one of two classes, or one of several"
    )
    num_classes: int | None = option("classes; auto: as many as the labels of train show", None, ge=2, none="auto")
    weight: WeightName = option("form of the weight tensor, where samples are one tensor", "cp")
    rank: RankText = option(
        "of the weight: a number, a list (tucker: one for each mode; tensor-train: one between each two), or auto: "
        "the best on channel validation, or without it by BIC, or on a fifth of train where smoothness is chosen as "
        "well; 8 under solver=adam",
        "auto",
    )
    solver: Literal["auto", "als", "adam"] = option(
        "als: exact steps for one block of the weight after the other; adam: gradients, with learned encoders; auto: "
        "adam where a modality has a learned encoder or the fusion is not lmf, als elsewhere",
        "auto",
    )
    fusion: Literal["lmf", "mutan", "block", "concat"] = option(
        "how several modalities are joined: by their products through a weight in CP form (lmf), in Tucker form "
        "(mutan), in Tucker form by chunks (block), or side by side through a hidden layer (concat)",
        "lmf",
    )
    loss: LossName = option(
        "of regressor squared, absolute, huber or poisson, of classifiers logistic and softmax; auto: squared, "
        "logistic or softmax",
        "auto",
    )
    encoders: EncodersText = option(
        "how each modality becomes numbers, such as picture=convolution,question=bag: raw or contraction for a tensor, "
        "raw or convolution for a picture, bag, tt-lstm or category for a text; auto: raw for tensors, bag for texts, "
        "convolution for pictures beside others, raw for pictures alone",
        "auto",
    )
    text_unit: Literal["words", "characters"] = option("what a text is a sequence of", "words")
    vocabulary_size: int = option("most frequent words or characters that are known", 5000, ge=1)
    max_length: int = option("words or characters of a text that tt-lstm reads", 64, ge=1, le=10_000)
    encoder_dimension: int = option("numbers that a learned encoder makes of a modality", 32, ge=1, tunable=(4, 256))
    convolution_channels: int = option("channels of each layer of a convolution", 16, ge=1, tunable=(4, 64))
    contraction: list[int] | None = option(
        "rows of each mode after a learned contraction; auto: half as many", None, none="auto"
    )
    projection: int = option("numbers that mutan, block and concat project to", 64, ge=4, tunable=(16, 512))
    feature_shape: list[int] | None = option("shape that vectors named features are folded to", None)
    standardize: bool = option(
        "centre numbers and divide them by their deviation: each entry of a vector, each row of each mode of a tensor, "
        "each channel of a picture",
        True,
    )
    missing: Literal["error", "mask"] = option(
        "a sample that lacks a modality is refused, or judged by the others", "error"
    )
    class_weights: ClassWeightsText = option(
        "of each class's samples in the loss: none, balanced (the same for each class together), or a list", "none"
    )
    wd: float | None = option(
        "penalty on the weight: of als times half the squared norm of W, added to the mean loss, auto: the best on "
        "channel validation or on a fifth of train; of adam its weight decay, auto: 0.0001",
        None,
        ge=0,
        none="auto",
        tunable=(1e-6, 1),
    )
    smoothness: float | None = option(
        "how much more als's penalty weighs differences between neighbouring rows of each mode of 16 and more, as in "
        "pictures and curves; auto: 0, or 16 if that is better where the rank or the penalty is chosen too, or with "
        "edges=true",
        None,
        ge=0,
        none="auto",
        tunable=(0, 100),
    )
    edges: bool | None = option(
        "whether als's weight is flat between edges, as in pictures of regions: a difference of neighbouring rows that "
        "is small is weighed up, by rounds; auto: false, or true if that is better where smoothness is chosen",
        None,
        none="auto",
    )
    l1: float = option("penalty on the absolute values of adam's weights", 0.0, ge=0, tunable=(1e-7, 1))
    restarts: int | None = option(
        "starts of als, of which the best is kept; auto: until two have found the same", None, ge=1, none="auto"
    )
    max_sweeps: int = option("sweeps over the blocks of als, at most", 200, ge=1)
    stop_tol: float = option("als stops when a sweep lowers the objective by less than this share", 1e-6, ge=0)
    bootstrap: int = option("refits of als to samples drawn anew, for intervals of the coefficients", 0, ge=0, le=1000)
    epochs: int = option("passes of adam over the training data", 15, ge=1, tunable=(1, 100))
    mini_batch_size: int = option("samples in a step of adam, over all hosts", 128, ge=1, tunable=(16, 10_000))
    learning_rate: float = option("of adam, at its peak", 3e-3, gt=0, tunable=(1e-5, 1e-1))
    early_stopping_patience: int | None = option(
        "epochs without a lower loss, that of channel validation where there is one, before adam stops", None, ge=1
    )
    seed: int = option("of starts, batches and held samples", 0, ge=0)
    dtype: Literal["float32", "float64"] = option("precision of als", "float32")
    precision: Literal["float32", "bf16"] = option("of adam's products; bf16 is for GPUs", "float32")

    @property
    def loss_name(self) -> str:
        """The loss, `auto` resolved."""
        return LOSSES_OF[self.predictor_type][0] if self.loss == "auto" else self.loss

    @property
    def ranks(self) -> int | list[int] | None:
        """The rank as numbers; None where it is auto."""
        return None if self.rank == "auto" else orjson.loads(self.rank)

    def refuse_rank(self, shape: tuple[int, ...], outputs: int) -> None:
        """UserError for a rank that is more than any mode of a weight of this shape and number of scores allows."""
        if not isinstance(self.ranks, int):
            return
        allowed = WEIGHTS[self.weight].ranks_of(self.ranks, shape, outputs)
        most = max(allowed if self.weight == "cp" else allowed[:-1], default=self.ranks)
        if self.ranks > most:
            sizes = " x ".join(map(str, shape))
            raise UserError(f"rank is {self.ranks}: {most} at most, by the shape of the samples, {sizes}")

    @property
    def named_encoders(self) -> dict[str, str]:
        """The encoders that are given, by modality."""
        return {} if self.encoders == "auto" else orjson.loads(self.encoders)

    @model_validator(mode="after")
    def _fit_together(self) -> Hyperparameters:
        takes = LOSSES_OF[self.predictor_type]
        if self.loss_name not in takes:
            raise ValueError(f"predictor_type={self.predictor_type} takes loss={' or '.join(takes)}, not {self.loss}")
        if self.num_classes is not None and self.predictor_type == "regressor":
            raise ValueError("num_classes is for classifiers: leave it out, or set another predictor_type")
        if self.num_classes not in (None, 2) and self.predictor_type == "binary_classifier":
            raise ValueError(f"num_classes is {self.num_classes}: binary_classifier has 2, multiclass_classifier more")
        if self.class_weights != "none" and self.predictor_type == "regressor":
            raise ValueError("class_weights are for classifiers: leave them out, or set another predictor_type")
        if self.solver == "als" and self.fusion != "lmf":
            raise ValueError(f"solver=als joins modalities by fusion=lmf alone: set solver=adam for {self.fusion}")
        if self.solver == "als" and self.l1:
            raise ValueError("l1 is for solver=adam: set it, or a penalty wd in the place of l1")
        if self.solver == "adam" and (self.edges or self.smoothness):
            raise ValueError("smoothness and edges are for solver=als: set it, or leave them out")
        if self.edges and self.smoothness == 0:
            raise ValueError("edges=true needs a smoothness above 0: set one, or leave smoothness out")
        if self.solver == "adam" and self.bootstrap:
            raise ValueError("bootstrap is for solver=als: set it, or leave bootstrap out")
        for name in ("contraction", "feature_shape"):
            if any(rows < 1 for rows in getattr(self, name) or ()) or getattr(self, name) == []:
                raise ValueError(f"hyperparameter {name} is {getattr(self, name)}: give 1 or more for each mode")
        return self
