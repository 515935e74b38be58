"""UIDs padded as real scanners pad them: received, known again, and forwarded with the bytes they came with.

PS3.5 9.1 pads a UID of odd length with one NUL. A real EPIQ 5G pads Study Instance UID in its requests with a space;
others write more than one NUL, or pad what needs none.
"""

import struct
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.dsutils import encode as encode_command

from dicom_ai.deliver.send import Item, Sender, deliver_batch
from dicom_ai.instance import US_IMAGE
from dicom_ai.receive.tables import EXPLICIT_LE
from dicom_ai.store import tables
from tests.protocol.test_receive import Scp, associate, scp, still, store_raw  # noqa: F401 - scp is a fixture
from tests.stored import dataset_bytes
from tests.workplace import QUICK, destination, pacs

pytestmark = pytest.mark.protocol

TAGS = {
    "SOPClassUID": b"\x08\x00\x16\x00",
    "SOPInstanceUID": b"\x08\x00\x18\x00",
    "StudyInstanceUID": b"\x20\x00\x0d\x00",
    "SeriesInstanceUID": b"\x20\x00\x0e\x00",
}
PADDINGS = {"one space": b" ", "NUL": b"\0\0", "spaces to 64": None}
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "us"


def padded(data_set: bytes, keyword: str, padding: bytes | None) -> bytes:
    """The same data set (explicit little endian) with one UID padded otherwise."""
    at = data_set.index(TAGS[keyword] + b"UI")
    length = struct.unpack_from("<H", data_set, at + 6)[0]
    plain = data_set[at + 8 : at + 8 + length].rstrip(b"\0 ")
    value = plain.ljust(64) if padding is None else plain + padding
    value += b" " * (len(value) % 2)
    return data_set[: at + 6] + struct.pack("<H", len(value)) + value + data_set[at + 8 + length :]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("keyword", TAGS)
def test_a_padded_uid_in_the_data_set_is_the_uid_and_the_bytes_stay(
    scp: Scp,  # noqa: F811
    tmp_path: Path,
    keyword: str,
    padding: str,
) -> None:
    plain = still(4)
    sent = padded(plain, keyword, PADDINGS[padding])
    assert len(sent) >= len(plain)
    association = associate(scp)
    assert store_raw(association, sent, "1.2.3.4") == 0
    assert store_raw(association, padded(still(5), "StudyInstanceUID", b"  "), "1.2.3.5") == 0
    association.release()
    assert scp.objects()["1.2.3.4"] == sent
    assert [row.study_uid for row in scp.here.rows(tables.studies)] == ["1.2.3"], "one study, however it is padded"
    (row,) = (row for row in scp.here.rows(tables.objects) if row.sop_uid == "1.2.3.4")
    assert (row.sop_class, row.facts["series_instance_uid"]) == (US_IMAGE, "1.2.3.1")
    with pacs(tmp_path / "pacs") as peer:
        item = Item(1, scp.here.files.path(row.digest), US_IMAGE, EXPLICIT_LE)
        with Sender(QUICK).associate(destination(peer.port), [(US_IMAGE, EXPLICIT_LE)]) as forwarded:
            assert [one.status for one in deliver_batch(forwarded, [item])] == [0]
        (arrived,) = peer.files("1.2.3.4")
    assert dataset_bytes(arrived) == sent


@pytest.mark.parametrize("padding", [" ", "\0\0\0", " \0"], ids=repr)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_padded_uids_in_the_request_match_the_data_set(scp: Scp, monkeypatch, padding: str) -> None:  # noqa: F811
    """The elements of the command set are written as bytes: pynetdicom pads as the standard says."""

    def encode(ds, *arguments):
        command = encode_command(ds, *arguments)
        if command is None or "AffectedSOPInstanceUID" not in ds or ds.CommandField != 0x0001:
            return command
        for element, value in ((0x0002, US_IMAGE), (0x1000, "1.2.3.4")):
            command = replace_element(command, element, (value + padding).encode())
        return command

    association = associate(scp)
    monkeypatch.setattr("pynetdicom.dimse_messages.encode", encode)
    assert store_raw(association, still(4), "1.2.3.4") == 0
    assert list(scp.objects()) == ["1.2.3.4"]
    association.release()


def replace_element(command: bytes, element: int, value: bytes) -> bytes:
    """An element of group 0000 (implicit little endian) with another value; the group length follows."""
    value += b"\0" * (len(value) % 2)
    parts, at = [], 12  # behind the group length
    while at < len(command):
        number, length = struct.unpack_from("<2xHL", command, at)
        content = value if number == element else command[at + 8 : at + 8 + length]
        parts.append(struct.pack("<HHL", 0, number, len(content)) + content)
        at += 8 + length
    rest = b"".join(parts)
    return command[:8] + struct.pack("<L", len(rest)) + rest


def test_the_same_object_padded_otherwise_is_other_content_of_the_same_uid(scp: Scp) -> None:  # noqa: F811
    association = associate(scp)
    assert store_raw(association, still(4), "1.2.3.4") == 0
    assert store_raw(association, padded(still(4), "SOPInstanceUID", b"   "), "1.2.3.4") == 0
    association.release()
    assert sorted(row.state for row in scp.here.rows(tables.objects)) == ["conflict", "stored"]
    assert [row.differs for row in scp.here.rows(tables.conflicts)] == [[]]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared test objects")
def test_the_object_of_a_real_epiq_is_received_as_it_is(scp: Scp) -> None:  # noqa: F811
    content = (SHARED / "philips-epiq5g_explicit_mono.dcm").read_bytes()
    header = dcmread(BytesIO(content), stop_before_pixels=True)
    uid, study, data_set = str(header.SOPInstanceUID), str(header.StudyInstanceUID), dataset_bytes(content)
    assert TAGS["StudyInstanceUID"] + struct.pack("<2sH", b"UI", len(study) + 1) + study.encode() + b" " in data_set
    association = associate(scp)
    assert store_raw(association, data_set, uid) == 0
    association.release()
    assert scp.objects() == {uid: data_set}
    assert [row.study_uid for row in scp.here.rows(tables.studies)] == [study]
