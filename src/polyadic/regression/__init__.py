"""Tensors, or several of them -> a number or a class, through a weight tensor of low rank."""

from polyadic.regression.choice import Choice, choose
from polyadic.regression.fit import Regression, tensor_regression
from polyadic.regression.layers.contraction import TensorContraction
from polyadic.regression.layers.convolution import TensorConvolution
from polyadic.regression.layers.fusion import Fusion
from polyadic.regression.layers.regression import TensorRegression
from polyadic.regression.product import Product

__all__ = [
    "Choice",
    "Fusion",
    "Product",
    "Regression",
    "TensorContraction",
    "TensorConvolution",
    "TensorRegression",
    "choose",
    "tensor_regression",
]
