"""S3's objects lie in a folder, whatever their keys, and survive the process."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from local_mode.front_door.services.logs import whole_lines
from local_mode.front_door.services.objects import FileBuffer, _place
from tests.local_mode.front_door.conftest import Door

KEYS = ["a", "a/b", "a/b/", "a//b", "/", "../up", "..", ".", "a/../../b", "é ü%2F", "x" * 1000, "a%", "%"]


@given(
    st.lists(st.text(min_size=1, max_size=40).filter(lambda key: "\0" not in key), min_size=2, max_size=8, unique=True)
)
def test_each_key_has_a_place_of_its_own_that_no_other_is_under(keys: list[str]) -> None:
    places = [tuple(_place(key)) for key in keys]
    assert len(set(places)) == len(keys)
    for place in places:
        assert all(name not in ("", ".", "..") and "/" not in name and len(name) < 255 for name in place)
        assert not any(other[: len(place)] == place for other in places if other != place)


def test_a_buffer_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    buffer = FileBuffer(tmp_path / "a")
    assert buffer.read(3) == b"012" and buffer.read() == b"3456789" and buffer.tell() == 10
    assert buffer.seek(-2, io.SEEK_END) == 8 and buffer.seek(-3, io.SEEK_CUR) == 5
    buffer.truncate()
    assert buffer.write(b"xy") == 2
    buffer.close()
    assert (tmp_path / "a").read_bytes() == b"01234xy"


@pytest.mark.slow
def test_objects_survive_a_start_and_a_kill(open_door: Callable[[], Any], tmp_path: Path) -> None:
    with open_door() as door:
        s3 = door.client("s3")
        s3.create_bucket(Bucket="bkt")
        for number, key in enumerate(KEYS):
            s3.put_object(
                Bucket="bkt", Key=key, Body=f"{number}".encode(), Metadata={"n": str(number)}, ContentType="t/x"
            )
        s3.put_object(Bucket="bkt", Key="a", Body=b"newer")
        s3.put_object(Bucket="bkt", Key="gone", Body=b"x")
        s3.delete_object(Bucket="bkt", Key="gone")
        s3.copy_object(Bucket="bkt", Key="copy", CopySource={"Bucket": "bkt", "Key": "a"})
        before = listed(s3)
        door.process.kill()
    with open_door() as door:
        s3 = door.client("s3")
        assert listed(s3) == before
        assert read(s3, "a") == read(s3, "copy") == b"newer"
        for number, key in enumerate(KEYS[1:], 1):
            answer = s3.get_object(Bucket="bkt", Key=key)
            assert answer["Body"].read() == f"{number}".encode()
            assert answer["Metadata"] == {"n": str(number)} and answer["ContentType"] == "t/x"
        with pytest.raises(ClientError, match="NoSuchKey"):
            s3.get_object(Bucket="bkt", Key="gone")
        s3.delete_objects(Bucket="bkt", Delete={"Objects": [{"Key": key} for key in (*KEYS, "copy")]})
        s3.delete_bucket(Bucket="bkt")
        assert s3.list_buckets()["Buckets"] == []
    assert not (tmp_path / "state" / "s3" / "bkt").exists()
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {"state"}


def listed(s3: Any) -> list[tuple[str, str, int, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bkt", PaginationConfig={"PageSize": 5})
    return [
        (each["Key"], each["ETag"], each["Size"], each["LastModified"]) for page in pages for each in page["Contents"]
    ]


def read(s3: Any, key: str, **more: Any) -> bytes:
    body: bytes = s3.get_object(Bucket="bkt", Key=key, **more)["Body"].read()
    return body


@pytest.mark.slow
def test_what_boto3s_transfers_do(door: Door, tmp_path: Path) -> None:
    s3 = door.client("s3")
    s3.create_bucket(Bucket="bkt")
    data = bytes(range(256)) * 2**16  # 16 MiB, in parts of 5.
    (tmp_path / "big").write_bytes(data)
    s3.upload_file(
        str(tmp_path / "big"),
        "bkt",
        "big",
        Config=TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20),
    )
    s3.download_file("bkt", "big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    assert read(s3, "big", Range="bytes=256-511") == bytes(range(256))
    s3.put_object(Bucket="bkt", Key="sum", Body=b"abc", ChecksumAlgorithm="SHA256")
    assert s3.head_object(Bucket="bkt", Key="sum")["ContentLength"] == 3
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bkt", "Key": "sum"})
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"abc"
    assert (door.state / "s3" / "bkt" / "big").stat().st_size == len(data)


def test_lines_that_a_kill_cut_short_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "stream.jsonl"
    file.write_bytes(b'{"a": 1}\n{"a": 2}\n{"a": ')
    assert whole_lines(file) == [{"a": 1}, {"a": 2}]
    with file.open("ab") as tail:  # What comes next stands on a line of its own.
        tail.write(b'{"a": 3}\n')
    assert whole_lines(file) == [{"a": 1}, {"a": 2}, {"a": 3}]
