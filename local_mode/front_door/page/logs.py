"""The last lines of a job, over all of its hosts, from the files of its streams."""

import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

TAIL_LINES, TAIL_BYTES = 40, 16_384


def tail(folder: Path, group: str, prefix: str) -> list[str]:
    """The last lines of the streams of a group whose names begin with a prefix, in the order of their times."""
    start = quote(f"{group}/{prefix}", safe="")
    files = [file for file in folder.iterdir() if file.name.startswith(start)] if folder.is_dir() else []
    events = sorted((event for file in files for event in _last(file)), key=lambda event: event[0])
    return [message for _, message in events[-TAIL_LINES:]]


def _last(file: Path) -> list[tuple[int, str]]:
    """Times and messages of a file's last bytes; a line that these begin within is left out."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - TAIL_BYTES))
        lines = stream.read().splitlines()
    found = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            event = json.loads(line)
            found.append((int(event["timestamp"]), str(event["message"])))
    return found
