"""Samples of a regression: tensors, pictures and texts by their names, with labels."""
