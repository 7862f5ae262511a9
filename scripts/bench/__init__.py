"""What `make bench` measures: speed as a ratio in one run, accuracy by a published protocol."""
