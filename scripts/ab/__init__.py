"""What the A/B commands share: captured requests, actuals, the plan, propensities, evidence."""
