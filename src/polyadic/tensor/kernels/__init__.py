"""Compiled kernels, and what only they need."""
