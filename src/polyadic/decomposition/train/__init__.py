"""Tensor trains: by singular value decompositions, by cross interpolation, and of observed entries alone."""
