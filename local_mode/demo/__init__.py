"""The demonstration: an A/B test of two models that differ, and of two that hardly do, from training to teardown."""
