"""Pages and figures of models."""
