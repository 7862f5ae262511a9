"""What every SDK v2 script shares: an offline local session and an Estimator on a specification."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.local import LocalSession

ROLE = "arn:aws:iam::111111111111:role/dummy"

spec: dict[str, Any] = json.loads(sys.argv[1])


def estimator(**more: Any) -> Estimator:
    session = LocalSession()
    session.config = {"local": {"local_code": True, "serving_port": spec.get("port", 8080)}}
    return Estimator(
        image_uri=spec["image"],
        role=ROLE,
        instance_count=spec.get("hosts", 1),
        instance_type="local",
        output_path=f"file://{spec['output']}",
        sagemaker_session=session,
        hyperparameters=spec["hyperparameters"],
        environment={"OMP_NUM_THREADS": "1"},  # several containers share this machine's cores
        **more,
    )


def inputs() -> dict[str, TrainingInput]:
    kind = spec.get("content_type")
    return {name: TrainingInput(f"file://{folder}", content_type=kind) for name, folder in spec["channels"].items()}


def report(value: Any) -> None:
    Path(sys.argv[2]).write_text(json.dumps(value))


def transform(trained: Estimator) -> None:
    """A batch transform of JSON Lines by either strategy."""
    for strategy in ("SingleRecord", "MultiRecord"):
        transformer = trained.transformer(
            instance_count=1,
            instance_type="local",
            strategy=strategy,
            assemble_with="Line",
            accept="application/jsonlines",
            env=spec.get("env"),
            output_path=f"file://{spec['transformed']}/{strategy}",
        )
        # Locally transform() returns when all is done; waiting would only ask CloudWatch for its log.
        transformer.transform(
            f"file://{spec['records']}", content_type="application/jsonlines", split_type="Line", wait=False
        )
