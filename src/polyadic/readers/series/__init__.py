"""A channel of files -> time series."""
