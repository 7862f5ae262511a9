"""model.tar.gz and output.tar.gz: packed as SageMaker packs them, and checked while they are unpacked."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from local_mode.errors import LocalModeError


def pack(folders: Iterable[Path], archive: Path) -> int:
    """Packs the contents of all folders at the archive's root, a later folder winning over an earlier one.

    Returns the number of files. The archive appears whole or not at all.
    """
    members: dict[str, Path] = {}
    for folder in folders:
        members |= {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    partial = archive.with_name(archive.name + ".partial")
    with tarfile.open(partial, "w:gz") as tar:
        for name, path in members.items():
            tar.add(path, arcname=name, recursive=False)
    os.replace(partial, archive)
    return sum(path.is_file() for path in members.values())


def unpack(archive: Path, folder: Path) -> None:
    """Extracts model.tar.gz; one that is cut short, altered or unsafe is a LocalModeError naming it."""
    if not archive.is_file():
        raise LocalModeError(f"there is no file {str(archive)!r}: give the model.tar.gz that a training job left")
    try:
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                tar.extractall(folder, filter="data")
            # To the end, so that gzip checks the length and the CRC of what was just extracted.
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        size = archive.stat().st_size
        raise LocalModeError(
            f"cannot read {str(archive)!r} ({size} bytes): {error}. "
            "It is cut short or is no gzipped tar archive: copy it again or train again"
        ) from error
