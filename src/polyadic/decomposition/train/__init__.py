"""Tensor trains."""
