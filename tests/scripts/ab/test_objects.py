"""Each object is fetched once, whatever the number of pages and looks."""

from __future__ import annotations

import io
from typing import Any

from scripts.ab.objects import NewObjects, list_keys


class Pages:
    """A bucket that lists two keys at a time."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects, self.fetched = objects, list[str]()

    def list_objects_v2(self, Bucket: str, Prefix: str, ContinuationToken: str = "0") -> dict[str, Any]:
        keys, first = sorted(key for key in self.objects if key.startswith(Prefix)), int(ContinuationToken)
        more = {"NextContinuationToken": str(first + 2)} if first + 2 < len(keys) else {}
        return {"Contents": [{"Key": key} for key in keys[first : first + 2]], **more} if keys else {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self.fetched.append(Key)
        return {"Body": io.BytesIO(self.objects[Key])}


def test_all_pages_are_listed() -> None:
    bucket = Pages({f"a/{number}": b"" for number in range(5)} | {"b/0": b""})
    assert list(list_keys(bucket, "b", "a/")) == [f"a/{number}" for number in range(5)]
    assert list(list_keys(bucket, "b", "c/")) == []


def test_a_second_reading_fetches_what_is_new() -> None:
    bucket = Pages({"a/2.jsonl": b"2", "a/1.jsonl": b"1", "a/3.txt": b"3", "ab/4.jsonl": b"4"})
    objects = NewObjects(bucket, "s3://bucket/a")
    assert list(objects.read()) == [("a/1.jsonl", b"1"), ("a/2.jsonl", b"2")]
    bucket.objects["a/0.jsonl"] = b"0"
    assert list(objects.read()) == [("a/0.jsonl", b"0")] and list(objects.read()) == []
    assert sorted(bucket.fetched) == ["a/0.jsonl", "a/1.jsonl", "a/2.jsonl"]
