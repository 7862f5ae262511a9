"""SDK v2: a user's own script, trained in the image."""

from sdk2_estimator import estimator, inputs, report, spec

estimator(entry_point=spec["entry_point"], source_dir=spec["source_dir"]).fit(inputs())
report("trained")
