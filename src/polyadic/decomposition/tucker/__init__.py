"""Tucker decompositions: with orthonormal factors, by truncation and by sweeps, and nonnegative ones."""
