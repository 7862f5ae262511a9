"""Layers of low-rank weights for networks of torch: each is one file, with a readable form that it equals."""
