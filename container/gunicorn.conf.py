"""Every server number in one place. Never imports torch: CUDA and OpenMP do not survive a fork."""

import os
from pathlib import Path

from polyadic.devices import count_gpus
from polyadic.serving import settings

_settings = settings.read()

bind = f"0.0.0.0:{_settings.port}"
worker_class = "gthread"
workers = _settings.workers
threads = _settings.threads
timeout = max(120, 2 * _settings.timeout)
graceful_timeout = 20
keepalive = 65
backlog = 512
preload_app = False
loglevel = "warning"
# The heartbeat file on a disk may block the worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
raw_env = [
    f"OMP_NUM_THREADS={_settings.threads_per_worker}",
    f"MKL_NUM_THREADS={_settings.threads_per_worker}",
]


def post_fork(server, worker):
    """A GPU a worker, by the worker's place."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(number) for number in range(count_gpus())]
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[(worker.age - 1) % len(devices)]
