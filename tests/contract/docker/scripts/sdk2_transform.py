"""SDK v2: fit, then a batch transform of JSON Lines."""

from sdk2_estimator import estimator, inputs, report, spec

trained = estimator()
trained.fit(inputs())
for strategy in ("SingleRecord", "MultiRecord"):
    transformer = trained.transformer(
        instance_count=1,
        instance_type="local",
        strategy=strategy,
        assemble_with="Line",
        accept="application/jsonlines",
        env=spec.get("env"),
        output_path=f"file://{spec['transformed']}/{strategy}",
    )
    # Locally transform() returns when all is done; waiting would only ask CloudWatch for its log.
    transformer.transform(
        f"file://{spec['records']}", content_type="application/jsonlines", split_type="Line", wait=False
    )
report("transformed")
