"""Generalised CP decompositions: losses beside least squares."""
