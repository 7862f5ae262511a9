"""The page that `python -m local_mode up` serves at `/`: jobs, endpoints and their traffic, rendered on the server."""
