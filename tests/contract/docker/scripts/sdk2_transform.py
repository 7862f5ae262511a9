"""SDK v2: fit, then a batch transform of JSON Lines."""

from sdk2_estimator import estimator, inputs, report, transform

trained = estimator()
trained.fit(inputs())
transform(trained)
report("transformed")
