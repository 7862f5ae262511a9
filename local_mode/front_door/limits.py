"""How many hosts and servers this machine has room for; more are refused, as SageMaker does above a limit."""

import os
from pathlib import Path

from local_mode.front_door.shapes import Fault

HOST_BYTES = 400 * 2**20
"""What a host or a server takes at least: Python and torch."""
HOSTS_A_PROCESSOR = 16
_MEMORY = Path("/proc/meminfo")


def check_room(count: int, what: str) -> None:
    """Raises Fault for more new hosts or servers than memory and processors have room for."""
    room = HOSTS_A_PROCESSOR * (os.cpu_count() or 1)
    available = available_bytes()
    if available is not None:
        room = min(room, available // HOST_BYTES)
    if count > max(1, room):
        raise Fault(
            "ResourceLimitExceeded",
            f"The limit of {what} on this machine is {max(1, room)} more instances, by its memory and processors, and "
            f"{count} were asked for: ask for fewer, or end others",
        )


def available_bytes() -> int | None:
    """The memory that new processes can have; None where the system does not tell."""
    try:
        lines = _MEMORY.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None
