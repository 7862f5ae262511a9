"""Models, endpoint configurations, endpoints and their servers."""
