"""SDK v2: fit alone."""

from sdk2_estimator import estimator, inputs, report

estimator().fit(inputs())
report("trained")
