"""The train half of the contract."""
