"""The dictionary of tensor operations, on torch tensors."""
