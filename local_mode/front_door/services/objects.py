"""S3's objects in a folder: moto answers as S3 does, and what it holds lies on the disk before the client is told so.

moto keeps objects in memory. After every request that may change a bucket, its keys are written down and read from
their files from then on; at a start they are put back. A key has one content: versioning is refused.
"""

import hashlib
import io
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import moto.s3.models as s3

from local_mode.front_door.resources import ACCOUNT, place_below
from local_mode.front_door.store import Store

LONGEST_NAME = 200
"""Characters of a file's name, under the 255 that file systems have."""
_KEPT = ("_etag", "_storage_class", "checksum_algorithm", "checksum_value", "checksum_type", "checksum_parts")


class Objects:
    """The objects of all buckets; lock: held by whoever asks moto, which is no code for several threads."""

    def __init__(self, folder: Path, store: Store, region: str, lock: threading.RLock) -> None:
        self.folder, self._store, self._region, self._lock = folder, store, region, lock
        folder.mkdir(parents=True, exist_ok=True)
        self._restore()

    def sync(self, bucket: str, key: str | None = None) -> None:
        """Writes down what moto has of a key, or of a whole bucket."""
        with self._lock:
            held = self._backend.buckets.get(bucket)
            if held is None:
                self._forget_bucket(bucket)
                return
            self._store.put("bucket", bucket, {})
            if key is not None:
                self._sync_key(bucket, key, held.keys.get(key))
                return
            known = {document["key"] for document in self._documents(bucket)}
            for name in known | set(held.keys):
                self._sync_key(bucket, name, held.keys.get(name))

    def put(self, bucket: str, key: str, source: Path) -> None:
        """Makes an object of a file; the bucket is made where there is none."""
        self.put_bytes(bucket, key, source.read_bytes())

    def put_bytes(self, bucket: str, key: str, data: bytes, content_type: str | None = None) -> None:
        """Makes an object of bytes; the bucket is made where there is none."""
        with self._lock:
            if bucket not in self._backend.buckets:
                self._backend.create_bucket(bucket, self._region)
            held = self._backend.put_object(bucket, key, data)
            if content_type is not None:
                held.set_metadata({"Content-Type": content_type})
            self.sync(bucket, key)

    def copy_prefix(self, bucket: str, prefix: str, folder: Path) -> int:
        """Copies the objects whose keys begin with a prefix into a folder, as SageMaker does; how many there are.

        Each lies where `place_below` says.
        """
        count = 0
        for key in self.keys(bucket, prefix):
            target = (folder / place_below(key, prefix)).resolve()
            if not target.is_relative_to(folder.resolve()):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            source = self.path(bucket, key)
            if source is not None:
                shutil.copyfile(source, target)
                count += 1
        return count

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """The keys that begin with a prefix, in their order, but for those of folders."""
        keys = (str(document["key"]) for document in self._documents(bucket))
        return sorted(key for key in keys if key.startswith(prefix) and not key.endswith("/"))

    def path(self, bucket: str, key: str) -> Path | None:
        """The file that holds an object; None where there is no such object."""
        document = self._store.get("object", f"{bucket}/{key}")
        return None if document is None else self.folder / document["path"]

    def has_bucket(self, bucket: str) -> bool:
        """Whether there is such a bucket."""
        return bucket in self._backend.buckets

    @property
    def _backend(self) -> Any:
        return s3.s3_backends[ACCOUNT]["aws"]

    def _documents(self, bucket: str) -> Iterator[dict[str, Any]]:
        return (each for each in self._store.all("object").values() if each["bucket"] == bucket)

    def _sync_key(self, bucket: str, key: str, held: Any) -> None:
        """Makes what is kept of a key what moto has of it: first the file, then the document that names it.

        A file that a document names is never written: the next content of a key gets the other of its two names, so
        that a kill at any moment leaves content and checksum of one and the same object.
        """
        name = f"{bucket}/{key}"
        known = self._store.get("object", name)
        if held is None or isinstance(held, s3.FakeDeleteMarker):
            self._store.drop("object", name)
            for place in _places(bucket, key):
                (self.folder / place).unlink(missing_ok=True)
            return
        buffer, places = held._value_buffer, _places(bucket, key)
        place = places[0] if known is None else known["path"]
        if not isinstance(buffer, FileBuffer) or buffer.path != self.folder / place:
            if known is not None:
                place = next(each for each in places if each != known["path"])
            held.etag  # noqa: B018  # It is computed from the buffer, once.
            self._write(buffer, self.folder / place)
        document = {
            "bucket": bucket,
            "key": key,
            "path": place,
            "modified": held.last_modified.isoformat(),
            "metadata": dict(held.metadata),
            **{member: getattr(held, member) for member in _KEPT},
        }
        if document != known:
            self._store.put("object", name, document)
        if not isinstance(buffer, FileBuffer) or buffer.path != self.folder / place:
            held._value_buffer = FileBuffer(self.folder / place)
            if not isinstance(buffer, FileBuffer):
                buffer.close()
            if held.multipart is not None:  # The parts, of which each has an open file, are in the whole.
                for part in held.multipart.parts.values():
                    part.dispose()
                held.multipart.parts.clear()

    def _write(self, buffer: Any, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name[:LONGEST_NAME]}%part")
        buffer.seek(0)
        with partial.open("wb") as file:
            shutil.copyfileobj(buffer, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)

    def _forget_bucket(self, bucket: str) -> None:
        for document in list(self._documents(bucket)):
            self._store.drop("object", f"{bucket}/{document['key']}")
        self._store.drop("bucket", bucket)
        shutil.rmtree(self.folder / bucket, ignore_errors=True)

    def _restore(self) -> None:
        for bucket in self._store.all("bucket"):
            self._backend.create_bucket(bucket, self._region)
        named = set()
        for document in self._store.all("object").values():
            path = self.folder / document["path"]
            if path.is_file():
                named.add(path)
                self._put_back(document, path)
        for path in self.folder.rglob("*"):
            if path not in named and path.is_file():  # Of a write that a kill cut short, or of a content before.
                path.unlink()

    def _put_back(self, document: dict[str, Any], path: Path) -> None:
        key = s3.FakeKey(
            name=document["key"],
            value=b"",
            account_id=ACCOUNT,
            region_name=self._region,
            bucket_name=document["bucket"],
        )
        key._value_buffer.close()
        key._value_buffer = FileBuffer(path)  # type: ignore[assignment]
        key.contentsize = path.stat().st_size
        key.last_modified = datetime.fromisoformat(document["modified"])
        key._metadata.update(document["metadata"])
        for member in _KEPT:
            setattr(key, member, document[member])
        self._backend.buckets[document["bucket"]].keys.setlist(document["key"], [key])


class FileBuffer:
    """What moto reads an object from, and writes it into: a file that is open for no longer than that."""

    def __init__(self, path: Path) -> None:
        self.path, self._place = path, 0

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Moves the place of the next read or write."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.path.stat().st_size}[whence]
        self._place = start + place
        return self._place

    def read(self, size: int = -1) -> bytes:
        """The bytes from the place on."""
        with self.path.open("rb") as file:
            file.seek(self._place)
            data = file.read(size)
        self._place += len(data)
        return data

    def truncate(self) -> None:
        """Cuts the file at the place."""
        with self.path.open("r+b") as file:
            file.truncate(self._place)

    def write(self, data: bytes) -> int:
        """Writes at the place."""
        with self.path.open("r+b") as file:
            file.seek(self._place)
            written = file.write(data)
        self._place += written
        return written

    def tell(self) -> int:
        """The place."""
        return self._place

    def close(self) -> None:
        """The file outlives the object of moto: a newer one of its key may lie in it by now."""


def _places(bucket: str, key: str) -> tuple[str, str]:
    """The two files that the content of a key may lie in, below the folder of all objects."""
    first = Path(bucket, *_place(key))
    return str(first), str(first.with_name(f"{first.name}%1"))


def _place(key: str) -> list[str]:
    """The names of the folders and of the file of a key: none can lead out, and a folder is never also a file."""
    *folders, last = (_name(segment) for segment in key.split("/"))
    return [*(f"{folder}%" for folder in folders), last or "%"]


def _name(segment: str) -> str:
    quoted = (
        quote(segment, safe=" !#$&'()+,;=@[]{}~^`").replace(".", "%2E") if set(segment) <= {"."} else quote(segment)
    )
    return quoted if len(quoted) <= LONGEST_NAME else f"%{hashlib.sha256(segment.encode()).hexdigest()}"
