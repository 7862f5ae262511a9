"""Polyadic on AWS: one boto3 command a file, run from the repository root as `python -m scripts.NAME`."""
