import gzip
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


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    "hostile",
    [
        member("/etc/escaped"),
        member("a/../../escaped"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "../../outside"),
        member("link", tarfile.LNKTYPE, "../outside"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda hostile: f"{hostile.name}-{hostile.type.decode()}",
)
def test_what_leads_out_or_is_no_file_is_not_unpacked(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    archive, before = tmp_path / "model.tar.gz", set(tmp_path.parent.iterdir())
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(hostile)
    if hostile.name == "/etc/escaped":  # Its slash is taken off, and it lies within.
        unpack(archive, tmp_path / "back")
        assert (tmp_path / "back" / "etc" / "escaped").is_file() and not Path("/etc/escaped").exists()
        return
    with pytest.raises(LocalModeError, match="cannot read"):
        unpack(archive, tmp_path / "back")
    assert list((tmp_path / "back").iterdir()) == [] and set(tmp_path.parent.iterdir()) == before


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    with gzip.open(archive, "wb", compresslevel=9) as stream:
        header = member("zeros")
        header.size = 4 * 2**30
        stream.write(header.tobuf())
        for _ in range(64):
            stream.write(bytes(2**20))
    assert archive.stat().st_size < 2**20
    with pytest.raises(LocalModeError, match=f"unpacks to more than {2**30} bytes: it is refused"):
        unpack(archive, tmp_path / "back")
    assert list((tmp_path / "back").iterdir()) == []
