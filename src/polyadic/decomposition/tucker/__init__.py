"""Tucker decompositions."""
