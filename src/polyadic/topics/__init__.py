"""Documents -> topics, by moment tensors."""
