"""The artifact of scripts/load behind other servers, each started by its own command with its own defaults.

python -m scripts.load.peers.PEER BASE PORT serves the artifact in BASE/model by one worker.
"""
