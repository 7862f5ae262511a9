"""SageMaker on one machine: the container's two executables, as plain processes or as Docker containers."""
