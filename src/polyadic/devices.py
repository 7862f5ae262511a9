"""The GPUs of this container, counted without torch: PID 1 and the server's master process count them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def count_gpus(environ: Mapping[str, str] = os.environ) -> int:
    """How many GPUs this container may use, without a CUDA context; CUDA_VISIBLE_DEVICES in `environ` limits them."""
    if not list(Path("/dev").glob("nvidia[0-9]*")) and not shutil.which("nvidia-smi"):
        return 0
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    if shutil.which("nvidia-smi"):
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
        return len(re.findall(r"^GPU \d+", listing.stdout, re.MULTILINE))
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
