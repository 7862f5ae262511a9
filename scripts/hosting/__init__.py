"""What serves an endpoint: where its models come from, what it is and shall be, how an update moves to it."""
