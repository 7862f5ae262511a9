"""The GPUs of this container. Imports nothing heavy: PID 1 and the server's master count them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def count_gpus(environ: Mapping[str, str] = os.environ) -> int:
    """GPUs that this container may use, counted without a CUDA context."""
    if not list(Path("/dev").glob("nvidia[0-9]*")) and not shutil.which("nvidia-smi"):
        return 0
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip() not in ("", "-1")])
    if shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
        return len(re.findall(r"^GPU \d+", listed.stdout, re.MULTILINE))
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
