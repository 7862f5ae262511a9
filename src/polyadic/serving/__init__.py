"""The serve half of the contract."""
