"""A user's own training script, run in the image by sagemaker-training's runner, with polyadic to import."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from polyadic.errors import UserError
from polyadic.training.environment import Environment

POLL_SECONDS = 0.2


def asked_for(environment: Environment) -> bool:
    """Whether the job names a script of its own."""
    return "sagemaker_program" in environment.hyperparameters or "SAGEMAKER_PROGRAM" in os.environ


def run(environment: Environment, stop_requested: Callable[[], bool]) -> int:
    """Hands over, and passes SIGTERM on, which that runner as PID 1 would not see; its exit code."""
    if importlib.util.find_spec("sagemaker_training") is None:
        raise UserError(
            "sagemaker_program asks for script mode, and sagemaker-training is not installed here: "
            "use the image, or pip install 'polyadic[container]'"
        )
    command = [sys.executable, "-c", "from sagemaker_training.cli.train import main; main()"]
    # The runner would wait 15 minutes for a lone host's own name to resolve.
    alone = {"SM_STUDIO_LOCAL_MODE": "true"} if len(environment.hosts) == 1 else {}
    runner = subprocess.Popen(command, env={**os.environ, **environment.variables(), **alone}, start_new_session=True)
    told = False
    while runner.poll() is None:
        if stop_requested() and not told:
            os.killpg(runner.pid, signal.SIGTERM)
            told = True
        time.sleep(POLL_SECONDS)
    return runner.returncode if runner.returncode >= 0 else 128 - runner.returncode
