"""Tensor -> factors: one decomposition a file."""
