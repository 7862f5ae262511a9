"""S3, CloudWatch Logs and what else a client needs around SageMaker."""
