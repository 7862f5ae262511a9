# The arguments are of the wrong types on purpose.
# mypy: disable-error-code="arg-type,call-arg,union-attr"
"""Every public function over kinds of argument: what means one thing is taken, all else is refused as a UserError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from polyadic.decomposition import (
    complete_tensor_train,
    cp,
    gcp,
    gcp_stochastic,
    sampled_cp,
    tensor_cross,
    tensor_train,
    tucker,
)
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting.accuracy import Accuracy, seasonal_naive
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.series import Series
from polyadic.tensor import (
    SparseTensor,
    contract,
    fold,
    khatri_rao,
    mode_product,
    mttkrp,
    multi_mode_product,
    unfold,
)
from polyadic.topics.coherence import coherence, diversity, per_word_log_likelihood, top_words
from polyadic.topics.corpus import Corpus
from polyadic.topics.mixtures import mixtures
from polyadic.topics.refinement import best_start, refine
from polyadic.topics.spectral import spectral_lda

COUNTS = np.random.default_rng(0).integers(1, 9, (4, 5, 6))
FACTORS = [np.random.default_rng(mode).integers(1, 4, (rows, 2)) for mode, rows in enumerate(COUNTS.shape)]
ALIKE: dict[str, Callable[[Any], Any]] = {
    "float64": lambda array: torch.from_numpy(array.astype("float64")),
    "float32": lambda array: torch.from_numpy(array.astype("float32")),
    "float16": lambda array: torch.from_numpy(array).half(),
    "bfloat16": lambda array: torch.from_numpy(array).bfloat16(),
    "int64": torch.from_numpy,
    "uint8": lambda array: torch.from_numpy(array.astype("uint8")),
    "not contiguous": lambda array: torch.from_numpy(np.repeat(array, 2, -1).astype("float64"))[..., ::2],
    "numpy": lambda array: array,
    "numpy float64": lambda array: array.astype("float64"),
    "Fortran order": lambda array: np.asfortranarray(array.astype("float64")),
    "big-endian": lambda array: array.astype(">f8"),
    "reversed": lambda array: np.flip(np.flip(array.astype("float64")).copy()),
    "longdouble": lambda array: array.astype("longdouble"),
    "read-only": lambda array: np.frombuffer(array.astype("float64").tobytes()).reshape(array.shape),
    "masked array": lambda array: np.ma.masked_array(array, mask=np.zeros(array.shape, bool)),
    "lists": lambda array: array.tolist(),
    "tuples": lambda array: tuple(array.tolist()),
}
"""Each makes of an array of small whole numbers what means the same tensor."""
REFUSED: dict[str, Callable[[Any], Any]] = {
    "complex64": lambda array: torch.from_numpy(array).to(torch.complex64),
    "complex numpy": lambda array: array.astype("complex128"),
    "text": lambda array: array.astype("str"),
    "objects": lambda array: np.full(array.shape, None),
    "ragged": lambda array: [*array.tolist(), [1]],
    "dates": lambda array: array.astype("datetime64[s]"),
    "None": lambda array: None,
    "a string": lambda array: "tensor.npy",
    "a dict": lambda array: {"tensor": array},
}
DENSE: dict[str, Callable[[Any], Any]] = {
    "unfold": lambda given: unfold(given(COUNTS), 1),
    "fold": lambda given: fold(given(COUNTS.reshape(4, 30)), 0, (4, 5, 6)),
    "mode_product": lambda given: mode_product(given(COUNTS), given(FACTORS[1].T.copy()), 1),
    "multi_mode_product": lambda given: multi_mode_product(given(COUNTS), [given(COUNTS[0, 0])], [2]),
    "khatri_rao": lambda given: khatri_rao([given(factor) for factor in FACTORS]),
    "mttkrp": lambda given: mttkrp(given(COUNTS), [given(factor) for factor in FACTORS], 1),
    "contract": lambda given: contract("ijk,jr,kr->ir", given(COUNTS), given(FACTORS[1]), given(FACTORS[2])),
    "cp": lambda given: cp(given(COUNTS), 2, max_iterations=20).weights,
    "gcp": lambda given: gcp(given(COUNTS), 2, "poisson", max_iterations=20).weights,
    "gcp_stochastic": lambda given: gcp_stochastic(given(COUNTS), 2, "poisson", epochs=2, iterations=5).weights,
    "tucker": lambda given: tucker(given(COUNTS), (2, 2, 2)).core.abs(),
    "tensor_train": lambda given: torch.tensor(tensor_train(given(COUNTS), max_rank=2).relative_error),
    "SparseTensor.of": lambda given: SparseTensor.of(given(COUNTS)).to_dense(),
    "SparseTensor values": lambda given: SparseTensor(torch.tensor([[0, 1]]), given(COUNTS[0, 0, :2]), (2,)).values,
    "complete_tensor_train": lambda given: torch.tensor(
        complete_tensor_train(
            SparseTensor.of(COUNTS).indices, given(COUNTS.reshape(-1)), COUNTS.shape, 2, max_iterations=4
        ).relative_error
    ),
}
"""Every public function that takes a dense tensor."""


def as_float64(array: Any) -> Any:
    return torch.from_numpy(array.astype("float64"))


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return {name: call(as_float64) for name, call in DENSE.items()}


@pytest.mark.parametrize("kind", ALIKE)
@pytest.mark.parametrize("name", DENSE)
def test_what_means_the_same_tensor_has_the_same_answer(name: str, kind: str, expected: dict[str, Tensor]) -> None:
    answer = DENSE[name](ALIKE[kind])
    torch.testing.assert_close(answer.double(), expected[name].double(), rtol=2e-3, atol=1e-4)
    assert answer.dtype in (torch.float32, torch.float64)


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", DENSE)
def test_what_is_no_tensor_is_refused_in_words(name: str, kind: str) -> None:
    with pytest.raises(UserError):
        DENSE[name](REFUSED[kind])


X, S = as_float64(COUNTS), SparseTensor.of(COUNTS)
OPTIONS: dict[str, tuple[Callable[[], Any], str]] = {
    "a misspelt option": (lambda: cp(X, 2, max_iteration=5), "did you mean 'max_iterations'"),
    "a misspelt option of an operation": (lambda: unfold(X, mod=1), "did you mean 'mode'"),
    "an old name": (lambda: cp(X, 2, tol=1e-3), "is called stop_tol: write stop_tol=0.001"),
    "an old name of gcp_stochastic": (lambda: gcp_stochastic(X, 2, "poisson", tol=1), "unknown argument"),
    "a misspelt choice": (lambda: cp(X, 2, init="svdd"), "did you mean 'svd'"),
    "a choice of another type": (lambda: cp(X, 2, init=3), "init is an int: it must be one of random, svd"),
    "a misspelt method": (lambda: tucker(X, (2, 2, 2), method="hoi"), "did you mean 'hooi'"),
    "a misspelt range finder": (lambda: tucker(X, (2, 2, 2), range_finder="gramm"), "did you mean 'gram'"),
    "a misspelt loss": (lambda: gcp(X, 2, "poison"), "did you mean 'poisson'"),
    "a loss of another type": (lambda: gcp(X, 2, 3), "loss"),
    "rank 0": (lambda: cp(X, 0), "rank is 0: it must be a whole number, 1 or more"),
    "rank 2.5": (lambda: gcp(X, 2.5, "poisson"), "rank is 2.5: it must be a whole number"),
    "rank in words": (lambda: sampled_cp(S, "2"), "rank is '2'"),
    "rank True": (lambda: cp(X, True), "rank is True"),
    "rank None": (lambda: cp(X, None), "rank is None"),
    "several ranks": (lambda: cp(X, (2, 2, 2)), "rank is"),
    "restarts 0": (lambda: cp(X, 2, restarts=0), "restarts is 0"),
    "max_iterations 0": (lambda: gcp(X, 2, "poisson", max_iterations=0), "max_iterations is 0"),
    "stop_tol below 0": (lambda: cp(X, 2, stop_tol=-1), "stop_tol is -1: it must be a finite number, 0 or more"),
    "stop_tol NaN": (lambda: tucker(X, (2, 2, 2), stop_tol=float("nan")), "stop_tol is nan"),
    "l2 in words": (lambda: cp(X, 2, l2="0.1"), "l2 is '0.1'"),
    "a truth value in words": (lambda: cp(X, 2, nonnegative="yes"), "nonnegative is 'yes': it must be True or False"),
    "seed in words": (lambda: cp(X, 2, seed="a"), "seed is 'a': it must be a whole number"),
    "a fixed mode beyond": (lambda: cp(X, 2, fixed=[3]), "a fixed mode is 3: the tensor has modes 0 to 2"),
    "all modes fixed": (lambda: cp(X, 2, fixed=[0, 1, -1]), "but not all of them"),
    "too few ranks": (lambda: tucker(X, (2, 2)), "give one number, or a list of 3"),
    "too many ranks of a train": (lambda: tensor_train(X, max_rank=[2, 2, 2]), "give one number, or a list of 2"),
    "a rank of a train of 0": (lambda: tensor_train(X, max_rank=[2, 0]), r"max_rank\[1\] is 0"),
    "tol below 0": (lambda: tensor_train(X, tol=-0.1), "tol is -0.1"),
    "a sparse tensor for tucker": (lambda: tucker(S, (2, 2, 2)), "give its .to_dense()"),
    "a dense tensor for sampled_cp": (lambda: sampled_cp(X, 2), "needs a sparse tensor"),
    "mode 3 of 3": (lambda: unfold(X, 3), "mode is 3: the tensor has modes 0 to 2, or -3 to -1"),
    "mode -4 of 3": (lambda: unfold(S, -4), "mode is -4"),
    "mode 0.5": (lambda: mttkrp(X, FACTORS, 0.5), "mode is 0.5"),
    "modes twice": (lambda: multi_mode_product(X, [FACTORS[0].T] * 2, [0, -3]), "a different mode for each"),
    "a factor too few": (lambda: mttkrp(S, FACTORS[:2], 0), "got 2 factors: a tensor of 3 modes needs 3"),
    "a factor with rows too many": (
        lambda: mttkrp(S, [FACTORS[0], FACTORS[2], FACTORS[2]], 0),
        "their rows must be those of their modes",
    ),
    "factors of two ranks": (
        lambda: mttkrp(X, [FACTORS[0], FACTORS[1], FACTORS[2][:, :1]], 0),
        "the same number of columns",
    ),
    "factors that are one array": (lambda: khatri_rao(FACTORS[0]), "give a list of arrays"),
    "an operand too wide": (lambda: mode_product(S, FACTORS[0].T, 1), "does not fit mode 1"),
    "a tensor for a sparse one's mode": (lambda: mode_product(S, np.ones((2, 2, 4)), 0), "a vector or a matrix"),
    "sizes that differ in a sparse contraction": (
        lambda: contract("ijk,jr,kr->ir", S, FACTORS[0], FACTORS[2]),
        "stands for 5 and for 4 rows",
    ),
    "sizes that differ in a dense contraction": (
        lambda: contract("ijk,jr,kr->ir", X, FACTORS[0], FACTORS[2]),
        "stands for 5 and for 4 rows",
    ),
    "a term too few": (lambda: contract("ijk->i", X, FACTORS[0]), "1 terms for 2 operands"),
    "a letter of no mode": (lambda: contract("ijk->iz", X), "on its right alone"),
    "no spec": (lambda: contract(X, X), "write one term per operand"),
    "a matrix that does not fit": (lambda: fold(FACTORS[0], 0, (4, 5, 6)), r"the unfolding of \(4, 5, 6\)"),
    "a fractional index": (lambda: SparseTensor([[0.5], [1]], [1.0], (2, 2)), "indices hold 0.5"),
    "an index beyond": (lambda: SparseTensor([[2], [1]], [1.0], (2, 2)), "mode 0 has indices from 2 to 2"),
    "a fractional index of a completion": (
        lambda: complete_tensor_train(np.full((3, 4), 0.5), np.ones(4), (2, 2, 2), 1),
        "indices hold 0.5",
    ),
    "a shape in words": (lambda: tensor_cross(lambda index: index.sum(1), "4x5", max_rank=2), "give the rows of each"),
    "a rank without its name": (lambda: tensor_train(X, 3), "without one it takes tensor, and by name tol, max_rank"),
    "a rank twice": (lambda: cp(X, 2, **{"rank": 3}), "got rank twice"),
    "no rank": (lambda: cp(X), r"cp\(\) needs rank too: call it as cp\(tensor, rank\)"),
    "no loss": (lambda: gcp(X, 2), "loss is one of bernoulli-logit, gamma, gaussian, huber, poisson"),
    "no loss of gcp_stochastic": (lambda: gcp_stochastic(X, 2), "loss is one of bernoulli-logit"),
    "no ranks of a cross": (lambda: tensor_cross(lambda index: index.sum(1), (4, 5)), r"max_rank=\.\.\."),
    "gaps in cp": (lambda: cp(X / X.clone().fill_(0), 2), "NaN or infinite.* or give observed=True"),
    "gaps in tucker": (lambda: tucker(X / 0, (2, 2, 2)), "NaN or infinite.* complete_tensor_train, or by cp"),
    "gaps in a tensor train": (lambda: tensor_train(X / 0, max_rank=2), "complete_tensor_train, or by cp"),
    "no factors": (lambda: khatri_rao([]), "give one or more"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option_is_refused_in_words(case: str) -> None:
    call, message = OPTIONS[case]
    with pytest.raises(UserError, match=message):
        call()


@pytest.mark.parametrize(
    "answer",
    [
        lambda two: cp(X, two, max_iterations=3).rank,
        lambda two: gcp(X, two, "poisson", max_iterations=3).rank,
        lambda two: tucker(X, [two, two, two]).core.shape[0],
        lambda two: tucker(X, two).core.shape[0],
        lambda two: tensor_train(X, max_rank=two).cores[0].shape[2],
        lambda two: tensor_train(X, max_rank=[two, two]).cores[0].shape[2],
    ],
)
@pytest.mark.parametrize("two", [2, 2.0, np.int32(2), np.float64(2), torch.tensor(2), np.array(2)])
def test_a_rank_is_taken_in_every_type(answer: Callable[[Any], int], two: Any) -> None:
    assert answer(two) == 2


@pytest.mark.parametrize("tensor", [X, S], ids=["dense", "sparse"])
@pytest.mark.parametrize("mode", [-1, -2, -3])
def test_negative_modes_count_from_the_end(tensor: Any, mode: int) -> None:
    factors = [torch.from_numpy(factor).double() for factor in FACTORS]
    vector, matrix = factors[mode][:, 0], factors[mode].T.contiguous()
    for answer, same in (
        (unfold(tensor, mode), unfold(tensor, mode % 3)),
        (mttkrp(tensor, factors, mode), mttkrp(tensor, factors, mode % 3)),
        (mode_product(tensor, vector, mode), mode_product(tensor, vector, mode % 3)),
        (mode_product(tensor, matrix, mode), mode_product(tensor, matrix, mode % 3)),
        (multi_mode_product(tensor, [matrix], [mode]), multi_mode_product(tensor, [matrix], [mode % 3])),
    ):
        assert answer.shape == same.shape
        torch.testing.assert_close(as_dense(answer), as_dense(same))
    torch.testing.assert_close(
        cp(X, 2, fixed=[mode], max_iterations=3).factors[mode],
        cp(X, 2, fixed=[mode % 3], max_iterations=3).factors[mode % 3],
    )


@pytest.mark.parametrize(
    "fit",
    [
        lambda tensor: cp(tensor, 2, max_iterations=5),
        lambda tensor: gcp(tensor, 2, "gaussian", max_iterations=5),
        lambda tensor: gcp_stochastic(tensor, 2, "gaussian", epochs=1, iterations=3),
        lambda tensor: cp(with_gradient(SparseTensor.of(tensor.detach())), 2, max_iterations=5),
        lambda tensor: sampled_cp(with_gradient(SparseTensor.of(tensor.detach())), 2, max_iterations=3),
        lambda tensor: tucker(tensor, (2, 2, 2)),
        lambda tensor: tensor_train(tensor, max_rank=2),
    ],
)
def test_a_fit_takes_tensors_with_a_gradient_and_has_none(fit: Callable[[Any], Any]) -> None:
    model = fit(X.clone().requires_grad_())
    assert not model.at([[0, 0, 0]]).requires_grad
    assert not model.embed(0, X.clone().requires_grad_())[0].requires_grad


def with_gradient(tensor: SparseTensor) -> SparseTensor:
    return SparseTensor(tensor.indices, tensor.values.clone().requires_grad_(), tensor.shape)


def as_dense(answer: Any) -> Any:
    sparse = isinstance(answer, SparseTensor) or answer.layout != torch.strided
    return answer.to_dense() if sparse else answer


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_sparse_layouts_of_torch_and_scipy_are_sparse_tensors() -> None:
    matrix = np.array([[0.0, 2, 0], [1, 0, 3]])
    for layout in (torch.from_numpy(matrix).to_sparse(), torch.from_numpy(matrix).to_sparse_csr(), csr_matrix(matrix)):
        sparse = SparseTensor.of(layout)
        torch.testing.assert_close(sparse.to_dense(), torch.from_numpy(matrix))
        torch.testing.assert_close(as_dense(unfold(layout, 0)), torch.from_numpy(matrix))
        assert cp(layout, 2, max_iterations=50).relative_error < 1e-3


def test_what_is_nothing_but_larger_types_is_promoted() -> None:
    half = torch.from_numpy(COUNTS).float()
    assert mttkrp(half, [torch.from_numpy(factor).double() for factor in FACTORS], 0).dtype == torch.float64
    assert mode_product(half, torch.ones(2, 4), 0).dtype == torch.float32


WORDS = np.where(np.arange(6) // 3 == np.arange(60)[:, None] % 2, np.random.default_rng(0).integers(1, 6, (60, 6)), 0)
"""Documents x terms: a document has the first three terms, or the others."""
CORPUS = Corpus.of_matrix(as_float64(WORDS))
TOPICS = spectral_lda(CORPUS, 2)[0]
OF_WORDS: dict[str, Callable[[Any], Any]] = {
    "spectral_lda": lambda given: spectral_lda(given(WORDS), 2)[0].beta,
    "refine": lambda given: refine(given(WORDS), TOPICS, iterations=3).topics.beta,
    "best_start": lambda given: best_start(given(WORDS), [TOPICS], iterations=3).topics.beta,
    "mixtures": lambda given: mixtures(given(WORDS), TOPICS),
    "coherence": lambda given: coherence(TOPICS, given(WORDS), World.alone(), 3)[0],
    "per_word_log_likelihood": lambda given: torch.tensor(per_word_log_likelihood(TOPICS, given(WORDS), World.alone())),
}
"""Every public function that takes a corpus."""


@pytest.mark.parametrize("kind", [*ALIKE, "scipy", "torch sparse", "a corpus"])
@pytest.mark.parametrize("name", OF_WORDS)
def test_counts_that_mean_the_same_corpus_have_the_same_answer(name: str, kind: str) -> None:
    sparse = {
        "scipy": csr_matrix,
        "torch sparse": lambda array: torch.from_numpy(array).to_sparse(),
        "a corpus": Corpus.of_matrix,
    }
    answer = OF_WORDS[name](ALIKE[kind] if kind in ALIKE else sparse[kind])
    torch.testing.assert_close(answer.double(), OF_WORDS[name](Corpus.of_matrix).double(), rtol=1e-4, atol=1e-5)


HISTORY = np.array([3.0, 1, 4, 1, 5, 9, 2, 6])
FUTURE = np.array([[2.0, 7, 1], [8, 2, 8]])
OF_SERIES: dict[str, Callable[[Any], Any]] = {
    "seasonal_naive": lambda given: torch.from_numpy(seasonal_naive(given(HISTORY), 4, 6)),
    "Series": lambda given: torch.from_numpy(Series(given(HISTORY), given(np.arange(8.0))).end(3).target),
    "Series.dynamic": lambda given: torch.from_numpy(
        cast("Any", Series(HISTORY[:3], range(3), dynamic=given(FUTURE)).dynamic)
    ),
    "Accuracy.of": lambda given: torch.tensor(Accuracy.of(given(FUTURE), given(FUTURE + 1), FUTURE[None], [0.5]).rmse),
}
"""Every public function and value of forecasting that takes numbers of series."""


@pytest.mark.parametrize("kind", ALIKE)
@pytest.mark.parametrize("name", OF_SERIES)
def test_numbers_that_mean_the_same_series_have_the_same_answer(name: str, kind: str) -> None:
    torch.testing.assert_close(
        OF_SERIES[name](ALIKE[kind]).double(), OF_SERIES[name](as_float64).double(), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: seasonal_naive(FUTURE, 1, 1), r"history has the shape \(2, 3\): give the values of one series"),
        (lambda: seasonal_naive(HISTORY, 0, 1), "season is 0: it must be a whole number, 1 or more"),
        (lambda: seasonal_naive(HISTORY, 1, 2.5), "steps is 2.5: it must be a whole number"),
        (lambda: seasonal_naive(HISTORY * 1j, 1, 1), "history holds complex numbers"),
        (lambda: Series(["a"], [0]), "target"),
        (lambda: Series(HISTORY, np.arange(7)), r"minutes have the shape \(7,\): give one for each of the 8 of target"),
        (lambda: Series(HISTORY, np.arange(8) + 0.5), "minutes hold 0.5: they must be whole numbers"),
        (lambda: Series(HISTORY, np.arange(8), dynamic=FUTURE), r"dynamic has the shape \(2, 3\): give a row for each"),
        (
            lambda: Accuracy.of(FUTURE, FUTURE[0], FUTURE[None], [0.5]),
            "series x steps, the same, and levels x series x",
        ),
        (lambda: Accuracy.of(FUTURE, FUTURE, FUTURE[None], [1.5]), "levels hold 1.5: they must be between 0 and 1"),
        (lambda: Frequency.parse(cast("str", 5)), "time_freq is 5: it must be M, W, D, H or min"),
    ],
)
def test_what_is_no_series_is_refused_in_words(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", OF_WORDS)
def test_what_is_no_matrix_of_counts_is_refused_in_words(name: str, kind: str) -> None:
    with pytest.raises(UserError):
        OF_WORDS[name](REFUSED[kind])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixtures(-WORDS, TOPICS), "counts hold a negative number"),
        (lambda: mixtures(np.where(WORDS > 4, np.nan, WORDS), TOPICS), "counts hold a negative number, NaN"),
        (lambda: mixtures(WORDS[0], TOPICS), r"counts have the shape \(6,\): give a matrix, documents x terms"),
        (lambda: spectral_lda(WORDS), r"call it as spectral_lda\(documents, num_topics\)"),
        (lambda: spectral_lda(WORDS[:, :5], 2, terms=6), "the documents are over 5 terms, the topics over 6"),
        (lambda: spectral_lda(lambda: [CORPUS], 2), "terms is None"),
        (lambda: spectral_lda(np.tile(WORDS[:1] / 1.5, (60, 1)), 6), "carries . at most.* as tf-idf makes them"),
        (lambda: spectral_lda(np.tile(WORDS[:1] / 7, (60, 1)), 6), "not whole, as tf-idf makes them"),
        (lambda: mixtures(WORDS[:, :5], TOPICS), "the documents are over 5 terms, the topics over 6"),
        (lambda: mixtures(np.ones((2, 7)), TOPICS), "the documents are over 7 terms, the topics over 6"),
        (lambda: coherence(TOPICS, WORDS[:, :5]), "the documents are over 5 terms"),
        (lambda: per_word_log_likelihood(TOPICS, WORDS[:, :5]), "the documents are over 5 terms"),
        (lambda: refine(WORDS[:, :5], TOPICS, iterations=2), "the documents are over 5 terms"),
        (lambda: spectral_lda(WORDS, 0), "num_topics is 0: it must be a whole number, 1 or more"),
        (lambda: spectral_lda(WORDS, 2, alpha=1), "did you mean 'alpha0'"),
        (lambda: refine(WORDS, TOPICS, iterations=-1), "iterations is -1: it must be a whole number, 0 or more"),
        (lambda: top_words(TOPICS, 2.5), "count is 2.5"),
        (lambda: diversity(TOPICS, "all"), "count is 'all'"),
    ],
)
def test_a_wrong_option_of_topics_is_refused_in_words(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()
