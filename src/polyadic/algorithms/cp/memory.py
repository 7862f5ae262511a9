"""What memory a cp job needs: the tensor, the factors as often as a method holds them, and its work space."""

from __future__ import annotations

from polyadic.algorithms.cp.hyperparameters import Hyperparameters, Method
from polyadic.decomposition.cp.entries import ENTRIES_PER_NUMBER, MOST_ROW_NUMBERS, NEARLY_ALL, first_round, row_numbers
from polyadic.decomposition.cp.find import LEAST_WORK_OF_ENTRIES
from polyadic.decomposition.cp.row_matrices import PIECE_BYTES
from polyadic.decomposition.gcp.objective import MOST_ENTRIES
from polyadic.jobs.memory import Need
from polyadic.readers.head import TensorHead

FACTOR_COPIES = {"auto": 24, "als": 4, "nls": 24, "sampled-als": 4, "lbfgs": 53 * 2, "adam": 12}
"""Factors that a method holds: those of a sweep, the best ones, whole ones for the model. The 10 pairs of vectors, the
bounds and the points of L-BFGS-B are 53 times the factors in float64: of float32 ones 106 times. That of adam was
measured once: 0.87 GB taken where 0.65 were said. Gauss-Newton steps hold twelve in float64."""
MOMENTUM_COPIES = 2
"""Factors beside those of sweeps, where these begin ahead."""
SPARSE_COPIES = 5.5
"""Records that a sparse tensor becomes: as they are read, dealt out, and in a tree for each mode."""
SAMPLED_COPIES = 12
"""The same where columns are sampled: their hashes are sorted for each mode."""
PARTIAL_SHARE = 0.25
"""Of a dense tensor: the largest partial product (tensor/dense_share.py)."""
LOSS_SHARE = 1.65
"""Of a dense tensor under a loss of its own: the model's entries, and the loss's derivatives."""
MASK_SHARE = 2.0
"""Of a dense tensor with gaps: the ones where entries are, and the tensor with zeros where none are."""

SQUARES_BESIDE = 4
"""Matrices R x R in float64 beside the Gram matrix of each factor."""
TRIANGLES = 4
"""Upper triangles (R x R / 2) that are held at once for each row of the longest mode where only observed entries count,
beside one for each row of every mode."""
ROW_NUMBERS, LONGEST_NUMBERS = 2, 3
"""Of a matrix R x R in float64 for every row: triangles and inverses; and for each row of the longest mode."""
SIDE_BY_SIDE = 2
"""Starts whose rows' own matrices stand in memory at once, about."""
SAMPLE_BYTES = 60
"""Of each index of a sample: as it is gathered, sorted and placed."""
PIECES = 4.2
"""Of the full matrices of some rows, beside these: their factors, their copies with a ridge."""


def needs(settings: Hyperparameters, head: TensorHead) -> Need:
    """The peak of a rank."""
    rank, method = settings.rank or settings.max_rank, _method(settings, head)
    copies = FACTOR_COPIES["als" if method == "auto" and _swept(settings, head) else method]
    if head.dtype.itemsize == 8 and copies == FACTOR_COPIES[method] and method in ("lbfgs", "auto", "nls"):
        copies //= 2
    swept = method == "als" or (method == "auto" and _swept(settings, head))
    if swept and (settings.entries == "missing" or settings.missing == "mask"):
        copies += MOMENTUM_COPIES
    parts = {
        "tensor": head.bytes,
        "factors": copies * head.factor_bytes(rank),
        "matrices": 8.0 * (len(head.shape) + SQUARES_BESIDE) * rank**2,
        "work space": _sparse_work(settings, head, rank) if head.sparse else _dense_work(settings, head),
    }
    if method in ("auto", "nls") and (settings.entries == "missing" or settings.missing == "mask"):
        parts["steps"] = _steps(settings, head, rank, method)
    if settings.rank is None and method == "auto" and settings.loss == "gaussian":
        gaps = MASK_SHARE + 1 if settings.missing == "mask" else 0
        parts["halves"] = head.bytes * (SPARSE_COPIES if head.sparse else 1 + gaps)
    return Need(parts, "lower rank, or set method=adam" if method == "lbfgs" else "lower rank")


def _steps(settings: Hyperparameters, head: TensorHead, rank: int, method: Method) -> float:
    """What Gauss-Newton steps hold where only observed entries count: their sample, and a matrix for every row."""
    entries, order = float(head.entries * head.ranks), len(head.shape)
    sample = min(entries, ENTRIES_PER_NUMBER * rank * sum(head.shape) / NEARLY_ALL)
    blocks = row_numbers(head.shape, rank)
    dear = first_round(sample, head.shape, rank) > LEAST_WORK_OF_ENTRIES or blocks > MOST_ROW_NUMBERS
    if method == "auto" and dear:
        return 0.0
    matrices = rank**2 * (ROW_NUMBERS * sum(head.shape) + LONGEST_NUMBERS * max(head.shape))
    misfit = head.dtype.itemsize * head.entries * (order if head.sparse else 1)
    return 8.0 * (matrices + 2 * SIDE_BY_SIDE * blocks) + misfit + SAMPLE_BYTES * order * sample


def _swept(settings: Hyperparameters, head: TensorHead) -> bool:
    """Whether auto finishes by alternating least squares."""
    given = bool(settings.fixed_modes) or settings.init is not None
    return given or (head.sparse and settings.entries == "zeros" and not settings.nonnegative)


def _method(settings: Hyperparameters, head: TensorHead) -> Method:
    loss = settings.loss_function()
    counted = not head.sparse or settings.entries == "missing" or loss.zeros is not None
    return settings.method_for(every_entry=counted or head.whole_entries <= MOST_ENTRIES)


def _dense_work(settings: Hyperparameters, head: TensorHead) -> float:
    share = PARTIAL_SHARE if settings.loss == "gaussian" else LOSS_SHARE
    return head.bytes * (share + (MASK_SHARE if settings.missing == "mask" else 0))


def _sparse_work(settings: Hyperparameters, head: TensorHead, rank: int) -> float:
    work = (SAMPLED_COPIES if _method(settings, head) == "sampled-als" else SPARSE_COPIES) * head.bytes
    if settings.entries == "missing" and settings.loss == "gaussian":
        triangle = head.dtype.itemsize * rank**2 / 2
        work += triangle * (sum(head.shape) + TRIANGLES * max(head.shape))
        work += PIECES * min(PIECE_BYTES, 8.0 * max(head.shape) * rank**2)
    return work
