"""LitServe: a model of ours as a LitAPI, one worker process beside the one that speaks HTTP.

What waits is predicted together, up to 64 requests, as ours does it; nothing waits on purpose.
"""

import sys
from pathlib import Path
from typing import Any

import litserve

from scripts.load.apps import loaded, plainly


class Ours(litserve.LitAPI):
    """Asked by the same documents as we are."""

    def __init__(self, folder: Path) -> None:
        super().__init__(max_batch_size=64, batch_timeout=0.001, api_path="/invocations")
        self.folder = folder

    def setup(self, device: str) -> None:
        """Reads the artifact, in the worker."""
        self.model: Any = loaded(self.folder)

    def decode_request(self, request: litserve.Request) -> list[Any]:
        """A request's instances; what comes is the document, not what it is annotated as."""
        asked: Any = request
        return [self.model.parse(instance, asked.get("configuration", {})) for instance in asked["instances"]]

    def batch(self, inputs: list[list[Any]]) -> list[list[Any]]:
        """Requests stay lists, since each has its own number of instances."""
        return inputs

    def predict(self, x: list[list[Any]]) -> list[list[Any]]:
        """The predictions of each request, of all of them at once."""
        answers = iter(self.model.predict([instance for request in x for instance in request]))
        return [[next(answers) for _ in request] for request in x]

    def unbatch(self, output: list[list[Any]]) -> list[list[Any]]:
        """A list a request, as it is."""
        return output

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """The answer as Python's json takes it."""
        return {"predictions": [plainly(prediction) for prediction in output]}


def main(base: Path, port: int) -> None:
    """Serves until it is ended."""
    server = litserve.LitServer(Ours(base / "model"), accelerator="cpu", healthcheck_path="/ping")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
