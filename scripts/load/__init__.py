"""A server of a model on loopback, and clients that measure it: for the benchmarks and the endurance test."""
