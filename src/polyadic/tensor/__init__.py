"""The algebra of tensors, dense (torch's) and sparse (SparseTensor), and the tensors of few numbers.

What a notebook uses is in this list: the operations, and the tensors that decompositions find.
"""

from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.operations import contract, fold, khatri_rao, mode_product, mttkrp, multi_mode_product, unfold
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.tucker_tensor import TuckerTensor

__all__ = [
    "CPTensor",
    "SparseTensor",
    "TensorTrain",
    "TuckerTensor",
    "contract",
    "fold",
    "khatri_rao",
    "mode_product",
    "mttkrp",
    "multi_mode_product",
    "unfold",
]
