"""A tuning job: its ranges, its request, and following it."""
