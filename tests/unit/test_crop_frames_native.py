"""Every photometric interpretation in every uncompressed syntax, written to a file and read back as the child does."""

import io

import numpy as np
import pytest
from pydicom import uid

from dicom_ai.crop.child import _read
from dicom_ai.crop.frames import frames_of
from tests.deflating import deflated
from tests.pixels import COLUMNS, ROWS, colour_screen, described, plane, to_ybr, with_palette

SYNTAXES = [
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
]
GREY = colour_screen()[..., 1]
YBR = to_ybr(colour_screen())
NEAR = 2
"""Levels by which the exact equations of PS3.3 C.7.6.3.1.2 and rounding twice may differ."""


def half(ybr):
    return np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], -1)


PICTURES = {  # name: stored samples, photometric interpretation, attributes, expected, tolerance
    "mono2": (GREY, "MONOCHROME2", {}, GREY[..., None], 0),
    "mono1": (GREY, "MONOCHROME1", {}, 255 - GREY[..., None], 0),
    "mono2 of 12 bits": (plane(), "MONOCHROME2", {"BitsStored": 12}, plane()[..., None] >> 4, 0),
    "mono1 of 12 bits": (plane(), "MONOCHROME1", {"BitsStored": 12}, 255 - (plane()[..., None] >> 4), 0),
    "mono2 of 16 bits, signed": (
        (plane().astype(np.int32) * 16 - 32768).astype(np.int16),
        "MONOCHROME2",
        {"BitsStored": 16, "PixelRepresentation": 1},
        plane()[..., None] >> 4,
        0,
    ),
    "rgb": (colour_screen(), "RGB", {}, colour_screen(), 0),
    "rgb by plane": (np.moveaxis(colour_screen(), -1, 0), "RGB", {"PlanarConfiguration": 1}, colour_screen(), 0),
    "ybr": (YBR, "YBR_FULL", {}, colour_screen(), NEAR),
    "ybr by plane": (np.moveaxis(YBR, -1, 0), "YBR_FULL", {"PlanarConfiguration": 1}, colour_screen(), NEAR),
    "ybr 422": (half(YBR), "YBR_FULL_422", {}, colour_screen(), NEAR),
    "palette": (GREY, "PALETTE COLOR", {}, np.stack([GREY, 255 - GREY, GREY], -1), 0),
    "palette of 16 bits": (
        plane(),
        "PALETTE COLOR",
        {"BitsStored": 16},
        np.stack([plane() >> 8, 255 - (plane() >> 8), plane() >> 8], -1),
        0,
    ),
}


def in_file(name, syntax, vr):
    stored, photometric, extra, *_ = PICTURES[name]
    wide = stored.dtype.itemsize == 2
    written = uid.ExplicitVRLittleEndian if syntax == uid.DeflatedExplicitVRLittleEndian else syntax
    order = "<" if written.is_little_endian else ">"
    ds = described(b"", photometric, written, **({"BitsAllocated": 16} if wide else {}) | extra)
    data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    if vr == "OW" and not wide and order == ">":
        data = np.frombuffer(data, np.uint16).byteswap().tobytes()  # PS3.5 8.1.1: words, so two pixels change places
    ds.PixelData = data
    ds["PixelData"].VR = vr
    if photometric == "PALETTE COLOR":
        levels = np.arange(1 << 16) if wide else np.arange(256) << 8
        with_palette(ds, levels, levels[::-1], levels)
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.6.1", "2.25.1"
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    content = buffer.getvalue()
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        content = deflated(content)
    return io.BytesIO(content)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("name", PICTURES)
def test_known_pixels_come_back(name, syntax):
    stored, *_, expected, tolerance = PICTURES[name]
    wide = stored.dtype.itemsize == 2
    for vr in ("OW",) if wide or syntax == uid.ImplicitVRLittleEndian else ("OB", "OW"):
        ds = _read(in_file(name, syntax, vr), deflated=True)
        frame = frames_of(ds, [1])[0]
        assert frame.shape == (ROWS, COLUMNS, expected.shape[2])
        assert np.abs(frame.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "ybr 422" and "plane" not in name])
@pytest.mark.parametrize("planar", [0, 1])
def test_known_pixels_come_back_through_rle(name, planar):
    stored, photometric, extra, expected, tolerance = PICTURES[name]
    extra = extra | ({"BitsAllocated": 16} if stored.dtype.itemsize == 2 else {})
    ds = described(stored.tobytes(), photometric, **extra)
    if photometric == "PALETTE COLOR":
        levels = np.arange(1 << 16) if stored.dtype.itemsize == 2 else np.arange(256) << 8
        with_palette(ds, levels, levels[::-1], levels)
    ds.compress(uid.RLELossless, encoding_plugin="pydicom")
    ds.PlanarConfiguration = planar  # RLE is by plane always; scanners write either
    frame = frames_of(ds, [1])[0]
    assert np.abs(frame.astype(int) - expected).max() <= tolerance
