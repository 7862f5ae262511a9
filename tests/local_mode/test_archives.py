import io
import tarfile
from pathlib import Path

import pytest

from local_mode.archives import pack, unpack
from local_mode.errors import LocalModeError


def test_a_packed_folder_comes_back(tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "deep").mkdir(parents=True)
    (source / "model.json").write_text("{}")
    (source / "deep" / "factors").write_bytes(bytes(range(256)) * 100)
    assert pack([source], tmp_path / "model.tar.gz") == 2
    unpack(tmp_path / "model.tar.gz", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "factors").read_bytes() == bytes(range(256)) * 100
    assert (tmp_path / "back" / "model.json").read_text() == "{}"


def test_a_later_folder_wins(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same").write_text(name)
        (tmp_path / name / name).write_text(name)
    assert pack([tmp_path / "first", tmp_path / "second"], tmp_path / "both.tar.gz") == 3
    unpack(tmp_path / "both.tar.gz", tmp_path / "back")
    assert (tmp_path / "back" / "same").read_text() == "second"


def test_every_truncation_of_an_archive_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "model"
    source.mkdir()
    (source / "model.json").write_text("0123456789" * 50)
    archive = tmp_path / "model.tar.gz"
    pack([source], archive)
    whole = archive.read_bytes()
    for length in range(len(whole)):
        archive.write_bytes(whole[:length])
        with pytest.raises(LocalModeError, match="cut short or is no gzipped tar"):
            unpack(archive, tmp_path / "back")


def test_an_altered_archive_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    archive = tmp_path / "model.tar.gz"
    pack([tmp_path / "model"], archive)
    content = bytearray(archive.read_bytes())
    content[-6] ^= 1  # in the checksum
    archive.write_bytes(content)
    with pytest.raises(LocalModeError, match="CRC"):
        unpack(archive, tmp_path / "back")


def test_a_member_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("../escaped")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(LocalModeError, match="cannot read"):
        unpack(archive, tmp_path / "back")
    assert not (tmp_path / "escaped").exists()
