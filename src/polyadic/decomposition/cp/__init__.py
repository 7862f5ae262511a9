"""Canonical polyadic decompositions."""
