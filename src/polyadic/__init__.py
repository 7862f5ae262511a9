"""Tensor methods as a SageMaker container."""
