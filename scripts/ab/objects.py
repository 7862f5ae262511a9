"""Objects of S3, each of which is fetched once however often one looks."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scripts.ab.places import bucket_and_prefix

PARALLEL = 8


class NewObjects:
    """The objects under an address whose keys end with .jsonl."""

    def __init__(self, s3: Any, uri: str) -> None:
        self._s3 = s3
        self._bucket, self.prefix = bucket_and_prefix(uri)
        self._seen: set[str] = set()

    def read(self) -> Iterator[tuple[str, bytes]]:
        """The key and the content of each object that was not there the last time, in the order of the keys."""
        keys = list_keys(self._s3, self._bucket, self.prefix)
        new = [key for key in keys if key.endswith(".jsonl") and key not in self._seen]
        with ThreadPoolExecutor(PARALLEL) as pool:
            for key, body in zip(new, pool.map(self._fetch, new), strict=True):
                yield key, body
                self._seen.add(key)

    def _fetch(self, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return body


def list_keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Every key of a bucket that begins with the prefix, in their order."""
    answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    yield from (entry["Key"] for entry in answer.get("Contents", []))
    while answer.get("NextContinuationToken"):
        answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, ContinuationToken=answer["NextContinuationToken"])
        yield from (entry["Key"] for entry in answer.get("Contents", []))
