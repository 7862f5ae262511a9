"""One port that every AWS client speaks to: SageMaker is ours; S3, logs, STS and the rest are moto's."""
