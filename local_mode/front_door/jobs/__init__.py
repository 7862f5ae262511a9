"""Jobs: training, batch transform and tuning."""
