"""Generalized CP decompositions: other losses than least squares."""
