"""model.tar.gz and output.tar.gz: packed as SageMaker packs them, and checked while they are unpacked."""

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from local_mode.errors import LocalModeError

LARGE_BYTES, LARGEST_RATIO = 2**30, 100


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
    """Extracts model.tar.gz; one that is cut short, altered, unsafe or out of all size is a LocalModeError naming it.

    Refused are paths and links that lead out of the folder, devices, and what unpacks to more than the disk has or,
    above 1 GiB, to more than a hundred times its size.
    """
    if not archive.is_file():
        raise LocalModeError(f"there is no file {str(archive)!r}: give the model.tar.gz that a training job left")
    try:
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                tar.extractall(folder, _bounded(tar, _most_bytes(archive, folder)), filter="data")
            # To the end, so that gzip checks the length and the CRC of what was just extracted.
            while stream.read(1 << 20):
                pass
    except _TooLargeError as error:
        raise LocalModeError(f"{str(archive)!r} unpacks to more than {error} bytes: it is refused") from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        size = archive.stat().st_size
        raise LocalModeError(
            f"cannot read {str(archive)!r} ({size} bytes): {error}. "
            "It is cut short or is no gzipped tar archive: copy it again or train again"
        ) from error


class _TooLargeError(Exception):
    pass


def _most_bytes(archive: Path, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return min(shutil.disk_usage(folder).free, max(LARGE_BYTES, LARGEST_RATIO * archive.stat().st_size))


def _bounded(members: Iterable[tarfile.TarInfo], most_bytes: int) -> Iterator[tarfile.TarInfo]:
    """The members, as long as they are not too much together; none of what is too much is written."""
    size = 0
    for member in members:
        size += member.size
        if size > most_bytes:
            raise _TooLargeError(str(most_bytes))
        yield member
