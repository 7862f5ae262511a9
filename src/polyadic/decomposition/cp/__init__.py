"""The canonical polyadic decomposition: alternating least squares over all entries, or over sampled columns."""
