"""SageMaker Runtime: requests to endpoints, and what becomes of their answers."""
