"""Every server number in one place. Never imports torch: CUDA and OpenMP do not survive a fork."""

import json
import os
import resource
import shutil
import sys
from pathlib import Path

from gunicorn import util

from polyadic.devices import count_gpus
from polyadic.serving import places, settings

_settings = settings.read()

bind = f"0.0.0.0:{_settings.port}"
worker_class = "polyadic.serving.worker.Worker"
workers = _settings.workers
threads = _settings.threads
timeout = max(120, 2 * _settings.timeout)
graceful_timeout = 20
keepalive = 65
backlog = 512
# Of the file descriptors some are for the model, its libraries and the log.
worker_connections = min(1000, max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200))
preload_app = False
# Nobody but the platform steers this server: no socket to do so is opened.
control_socket_disable = True
loglevel = "warning"
# The heartbeat file on a disk may block the worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
raw_env = [
    f"OMP_NUM_THREADS={_settings.threads_per_worker}",
    f"MKL_NUM_THREADS={_settings.threads_per_worker}",
]


def when_ready(server):
    """The folder where workers tell that they are ready, and what they count."""
    places.make_folder("polyadic-ready-")


def pre_fork(server, worker):
    """A place for each worker; one that takes a dead one's part has that one's."""
    worker.place = places.lowest_free(other.place for other in server.WORKERS.values())


def post_fork(server, worker):
    """A GPU a worker, by its place, and space for what it counts."""
    places.reserve_figures(os.getpid())
    os.environ[places.PLACE_VARIABLE] = str(worker.place)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(number) for number in range(count_gpus())]
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[worker.place % len(devices)]


def worker_exit(server, worker):
    """What the last requests of a worker add to the figures; one that failed before has none."""
    if metrics := sys.modules.get("polyadic.serving.metrics"):
        metrics.count_up()


def child_exit(server, worker):
    """What a worker that has ended had under way counts no more."""
    places.forget_figures(worker.pid)


def on_exit(server):
    """Removes the folder."""
    shutil.rmtree(os.environ.get(places.FOLDER_VARIABLE, ""), ignore_errors=True)


def _write_error(client, status, reason, message):
    """What gunicorn itself refuses is told in JSON, as all else is, and not as a page."""
    text = f"{reason}: {message}" if message else reason
    body = json.dumps({"error": text}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(client, head.encode("latin1", "replace") + body)


util.write_error = _write_error
