"""A channel of files -> a tensor, a corpus or series."""
