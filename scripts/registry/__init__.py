"""The model registry: its packages, and what is known of where a model comes from."""
