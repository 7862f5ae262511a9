"""The demonstration: train, serve two variants, compare them on months that neither has seen."""
