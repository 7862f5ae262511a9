"""On a process's path: the SDKs, which look at a job every 10 s and at an endpoint every 30, look twice a second."""

import time

_sleep = time.sleep


def sleep(seconds: float) -> None:
    _sleep(min(seconds, 0.5))


time.sleep = sleep  # type: ignore[assignment]
