"""gluonts.shell, GluonTS's own container: a forecaster of ours as one of its predictors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import waitress
from gluonts.core.component import validated
from gluonts.model.forecast import SampleForecast
from gluonts.model.predictor import RepresentablePredictor
from gluonts.shell import serve
from gluonts.shell.env import ServeEnv

from scripts.load.apps import loaded
from scripts.load.models import HORIZON


class Ours(RepresentablePredictor):
    """A forecaster in a folder; all series of a request are one batch, as GluonTS's own predictors do it."""

    @validated()
    def __init__(self, folder: str) -> None:
        super().__init__(prediction_length=HORIZON)
        self.model = loaded(Path(folder))

    def predict(self, dataset: Any, num_samples: int = 100, **kwargs: Any) -> Iterator[SampleForecast]:
        """The forecasts of a data set's series."""
        entries = list(dataset)
        asked = {"num_samples": num_samples, "output_types": ["samples"]}
        instances = [
            self.model.parse({"start": str(entry["start"].start_time), "target": entry["target"].tolist()}, asked)
            for entry in entries
        ]
        for entry, answer in zip(entries, self.model.predict(instances), strict=True):
            start = entry["start"] + len(entry["target"])
            yield SampleForecast(np.asarray(answer["samples"], dtype=np.float32), start)


def main(base: Path, port: int) -> None:
    """Serves until it is ended: what `python -m gluonts.shell serve` does, which knows no port but 8080."""
    folder = base / "gluonts"
    (folder / "model").mkdir(parents=True)
    Ours(str(base / "model")).serialize(folder / "model")
    app = serve.make_flask_app(ServeEnv(folder), None, serve.Settings())
    waitress.serve(app, listen=f"127.0.0.1:{port}")


if __name__ == "__main__":
    from scripts.load.peers import gluonts_shell  # Not __main__'s, whose name the file of the predictor would hold.

    gluonts_shell.main(Path(sys.argv[1]), int(sys.argv[2]))
