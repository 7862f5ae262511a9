"""What a job is: its hyperparameters, channels, metrics and model."""
