"""Documents -> topics, by the moments of their words."""
