"""Deflated data sets: unfolded exactly, piece by piece, and never beyond the bounds."""

import io
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread, uid
from pydicom.dataset import Dataset, FileMetaDataset

from dicom_ai import inflate
from dicom_ai.errors import UnreadableInstance, UnsupportedPixels
from dicom_ai.receive.scan import scan
from tests.deflating import MIB, deflated, element


def squeezed(raw):
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return squeeze.compress(raw) + squeeze.flush()


def part10(pixels=b"\1\2\3\4", private_mib=0, pixels_mib=0):
    """Deflated; with a value of zeros before most of the header, or with zeros as pixels."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.6.1", "2.25.1"
    if not private_mib:
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "2.25.2", "2.25.3"
        ds.Rows, ds.Columns = 2, 2
    if not private_mib and not pixels_mib:
        ds.PixelData = pixels
        ds["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    content = buffer.getvalue()
    if private_mib:
        content += element(0x00111001, b"OB", private_mib * MIB)
    if pixels_mib:
        content += element(0x7FE00010, b"OB", pixels_mib * MIB)
    return deflated(content, private_mib + pixels_mib)


def data_set(content):
    return content[132 + 12 + int.from_bytes(content[140:144], "little") :]


@given(st.binary(max_size=400_000), st.lists(st.tuples(st.integers(0, 500_000), st.integers(1, 90_000)), max_size=6))
def test_reads_anywhere_as_from_the_unfolded_bytes(raw, reads):
    stream = io.BufferedReader(inflate._Unfolding(io.BytesIO(b"head" + squeezed(raw)), 4))
    for at, size in reads:
        stream.seek(at)
        assert stream.read(size) == raw[at : at + size]
    assert stream.seek(0, io.SEEK_END) == len(raw)


def test_header_and_pixels():
    content = part10(pixels=bytes(range(200)))
    assert inflate.is_deflated(io.BytesIO(content))
    ds, stream = inflate.open_deflated(io.BytesIO(content))
    assert (ds.Rows, ds.SOPInstanceUID) == (2, "2.25.1")
    assert "PixelData" not in ds
    assert stream.read(12)[:6] == b"\xe0\x7f\x10\x00OB"
    assert stream.read(200) == bytes(range(200))
    assert dcmread(io.BytesIO(content)).PixelData == bytes(range(200)), "the library agrees"


def test_header_alone():
    ds = inflate.read_deflated(io.BytesIO(part10()), before=0x00280011)
    assert ds.Rows == 2
    assert "Columns" not in ds
    assert ds.file_meta.TransferSyntaxUID == inflate.DEFLATED


@pytest.mark.parametrize("content", [b"", b"\0" * 132, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM\x02\0\x10\0UI"])
def test_other_bytes_are_not_deflated(content):
    assert not inflate.is_deflated(io.BytesIO(content))


def test_damage():
    content = part10()
    with pytest.raises(OSError, match="not deflated"):
        inflate.open_deflated(io.BytesIO(content[: -len(data_set(content))] + b"\xff" * 400))
    with pytest.raises(UnreadableInstance):
        inflate.beginning(b"\xff" * 400)


def spent(work):
    """Most bytes in use at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_before_the_pixels_costs_the_bound_at_most():
    bomb = part10(private_mib=300)
    assert len(bomb) < 400_000, "about 1000 : 1"

    def read():
        with pytest.raises(UnsupportedPixels):
            inflate.open_deflated(io.BytesIO(bomb))

    assert spent(read) < 5 * inflate.HEADER
    assert spent(lambda: inflate.read_deflated(io.BytesIO(bomb), before=0x00110000)) < 3 * inflate.HEADER


def test_a_bomb_behind_the_header_is_scanned_from_its_beginning():
    bomb = data_set(part10(pixels_mib=300))

    def look():
        assert scan(bomb, inflate.DEFLATED).SOPInstanceUID == "2.25.1"

    assert spent(look) < 3 * inflate.HEADER


def test_a_bomb_before_the_uids_is_not_readable():
    ds = data_set(part10(private_mib=300))
    with pytest.raises(UnreadableInstance):  # the study's UID lies behind what is unfolded
        scan(ds, inflate.DEFLATED)


def test_pixels_end_at_the_bound(monkeypatch):
    monkeypatch.setattr(inflate, "WHOLE", 1 << 20)
    _, stream = inflate.open_deflated(io.BytesIO(part10(pixels_mib=2)))
    with pytest.raises(UnsupportedPixels):
        stream.seek(0, io.SEEK_END)


def test_header_of_a_stored_object_is_read_within_bounds(tmp_path):
    from dicom_ai.headers import header

    (tmp_path / "a").write_bytes(part10(pixels_mib=2000))
    assert spent(lambda: header(tmp_path / "a")) < 6 * inflate.HEADER
    assert header(tmp_path / "a").SOPInstanceUID == "2.25.1"
    (tmp_path / "b").write_bytes(part10(private_mib=300))
    assert header(tmp_path / "b").SOPInstanceUID == "2.25.1", "as far as it is within the bounds"
