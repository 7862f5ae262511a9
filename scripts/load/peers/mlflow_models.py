"""`mlflow models serve`: a model of ours as an MLflow python_function."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel

from scripts.load.apps import loaded, plainly


class Ours(PythonModel):
    """Asked by {"dataframe_records": [...]}, a row an instance; options of the request are `params`."""

    def load_context(self, context: Any) -> None:
        """Reads the artifact."""
        self.model = loaded(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> list[Any]:
        """The predictions of a table's rows."""
        configuration = {"num_samples": 100, "output_types": ["mean", "quantiles"], "quantiles": ["0.1", "0.9"]}
        rows = model_input.to_dict("records")
        parsed = [self.model.parse(row, configuration if "target" in row else {}) for row in rows]
        return [plainly(prediction) for prediction in self.model.predict(parsed)]


def main(base: Path, port: int) -> None:
    """Writes the MLflow model beside the artifact, and becomes its server."""
    folder = base / "mlflow"
    mlflow.pyfunc.save_model(
        folder,
        python_model=Ours(),
        artifacts={"model": str(base / "model")},
        pip_requirements=[],
        infer_code_paths=False,
    )
    command = f"mlflow models serve --model-uri {folder} --env-manager local --port {port} --workers 1".split()
    os.execv(sys.executable, [sys.executable, "-m", *command])


if __name__ == "__main__":
    from scripts.load.peers import mlflow_models  # Not __main__'s, which the model's pickle would name.

    mlflow_models.main(Path(sys.argv[1]), int(sys.argv[2]))
