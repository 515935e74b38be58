import numpy as np
import pytest
from pydicom import uid

from dicom_ai.crop.frames import frames_of
from dicom_ai.errors import UnsupportedPixels
from tests.pixels import COLUMNS, ROWS, described, with_palette

LEVELS = np.arange(256)
INDICES = np.resize(np.arange(256, dtype=np.uint8), (ROWS, COLUMNS))
LITTLE, BIG = uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian


def colours(ds):
    return frames_of(ds, [1])[0]


@pytest.mark.parametrize("syntax", [LITTLE, uid.ImplicitVRLittleEndian, BIG])
@pytest.mark.parametrize("spans", [True, False])
def test_entries_of_16_bits_span_the_range_or_hold_8_bits(spans, syntax):
    table = LEVELS * (256 if spans else 1)
    ds = with_palette(described(INDICES.tobytes(), "PALETTE COLOR", syntax), table, table[::-1], table)
    frame = colours(ds)
    assert np.array_equal(frame[..., 0], INDICES)
    assert np.array_equal(frame[..., 1], 255 - INDICES)
    assert np.array_equal(frame[..., 2], INDICES)


def test_one_dark_table_among_bright_ones_is_read_with_the_same_scale():
    ds = described(INDICES.tobytes(), "PALETTE COLOR")
    frame = colours(with_palette(ds, LEVELS * 256, np.full(256, 255), LEVELS * 256))
    assert np.array_equal(frame[..., 0], INDICES)
    assert not frame[..., 1].any(), "255 of 65535 is black, not white"


def test_values_below_the_first_mapped_one_and_beyond_the_last():
    indices = np.resize(np.array([0, 10, 11, 13, 200], np.uint8), (ROWS, COLUMNS))
    ds = described(indices.tobytes(), "PALETTE COLOR")
    table = [7, 50, 60, 70]
    assert colours(with_palette(ds, table, table, table, first=10, bits=8)).reshape(-1, 3)[:5, 0].tolist() == [
        7, 7, 50, 70, 70,
    ]  # fmt: skip


@pytest.mark.parametrize("syntax", [LITTLE, BIG])
def test_values_of_16_bits_and_65536_entries(syntax):
    values = np.resize(np.array([0, 255, 256, 40_000, 65_535], np.uint16), (ROWS, COLUMNS))
    ds = described(b"", "PALETTE COLOR", syntax, BitsAllocated=16, BitsStored=16)
    ds.PixelData = values.astype("<u2" if syntax == LITTLE else ">u2").tobytes()
    table = np.arange(65_536)
    frame = colours(with_palette(ds, table, table[::-1], table))
    assert ds.RedPaletteColorLookupTableDescriptor[0] == 0
    assert np.array_equal(frame[..., 0], values >> 8)
    assert np.array_equal(frame[..., 1], (65_535 - values) >> 8)


def test_first_mapped_value_beyond_32767_that_reads_as_negative():
    values = np.resize(np.array([40_000, 40_001, 40_002], np.uint16), (ROWS, COLUMNS))
    ds = described(values.tobytes(), "PALETTE COLOR", BitsAllocated=16, BitsStored=16)
    with_palette(ds, [10, 20, 30], [10, 20, 30], [10, 20, 30], bits=8)
    for colour in ("Red", "Green", "Blue"):
        ds[f"{colour}PaletteColorLookupTableDescriptor"].value = [3, 40_000 - 65_536, 8]
    assert colours(ds).reshape(-1, 3)[:3, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("syntax", [LITTLE, BIG])
def test_entries_of_8_bits_announced_as_16_or_packed_into_words(syntax):
    ds = described(INDICES.tobytes(), "PALETTE COLOR", syntax)
    with_palette(ds, LEVELS, LEVELS[::-1], LEVELS, bits=8)
    for colour in ("Red", "Green", "Blue"):
        ds[f"{colour}PaletteColorLookupTableDescriptor"].value = [256, 0, 16]
        element = ds[f"{colour}PaletteColorLookupTableData"]
        element.VR = "OW"
        if syntax == BIG:  # PS3.5 8.1.1: the word is swapped, and with it its two entries
            element.value = np.frombuffer(element.value, "<u2").byteswap().tobytes()
    frame = colours(ds)
    assert np.array_equal(frame[..., 0], INDICES)
    assert np.array_equal(frame[..., 1], 255 - INDICES)


def test_table_read_as_numbers_and_a_padded_odd_one():
    ds = described(np.resize(np.array([0, 1, 2], np.uint8), (ROWS, COLUMNS)).tobytes(), "PALETTE COLOR")
    with_palette(ds, [1, 2, 3], [1, 2, 3], [1, 2, 3], bits=8)
    for colour in ("Green", "Blue"):
        ds[f"{colour}PaletteColorLookupTableData"].value += b"\0"
    ds["RedPaletteColorLookupTableData"].VR = "US"
    ds["RedPaletteColorLookupTableData"].value = [1, 2, 3]
    assert colours(ds).reshape(-1, 3)[:3].tolist() == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]


@pytest.mark.parametrize("syntax", [LITTLE, BIG])
def test_segmented_tables(syntax):
    ds = described(INDICES.tobytes(), "PALETTE COLOR", syntax)
    # PS3.3 C.7.9.2: discrete (0), 2 values: 0, 256; then linear (1) over 254 values up to 65280
    segments = np.array([0, 2, 0, 256, 1, 254, 65_280], "<u2" if syntax == LITTLE else ">u2").tobytes()
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(ds, f"Segmented{colour}PaletteColorLookupTableData", segments)
    assert np.array_equal(colours(ds)[..., 1], INDICES)


@pytest.mark.parametrize("length", [0, 100, 300, 511, 600])
def test_table_of_another_length_than_announced_fails(length):
    ds = described(INDICES.tobytes(), "PALETTE COLOR")
    with_palette(ds, LEVELS, LEVELS, LEVELS)
    ds.BluePaletteColorLookupTableData = bytes(length)
    with pytest.raises(UnsupportedPixels) as caught:
        colours(ds)
    assert caught.value.reason == "decode_failed"


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless])
@pytest.mark.parametrize("bits", [8, 16])
def test_compressed_indices(syntax, bits):
    indices = INDICES.astype(np.uint16) * (1 if bits == 8 else 257)
    ds = described(
        indices.astype(np.uint8 if bits == 8 else "<u2").tobytes(), "PALETTE COLOR", BitsAllocated=bits, BitsStored=bits
    )
    table = np.arange(1 << bits) << (8 if bits == 8 else 0)
    with_palette(ds, table, table[::-1], table)
    ds.compress(syntax, encoding_plugin="pydicom" if syntax == uid.RLELossless else "pyjpegls")
    frame = colours(ds)
    assert np.array_equal(frame[..., 0], INDICES)
    assert np.array_equal(frame[..., 1], 255 - INDICES)
