"""Kernels that numba, LLVM and Triton compile, and what only they need: the bottom room of the house."""
