"""Faults that a router, an archive, a cable or a maker's mistake puts into a sound object, and the reason of each.

A fault is put into the data set or into the bytes of its file. What this is not: text on the picture; painted objects
have their own tests.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian

from dicom_ai.crop.frames import frames_of
from dicom_ai.report.header import part10
from tests.pixels import to_ybr

Written = Callable[[Dataset], bytes]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        reason: what the object ends with.
        written: the damaged file of a sound data set; the data set may be changed.
        needs: what the data set must be: words of "still", "clip", "coded" (encapsulated), "jpeg"; "" for any.
    """

    reason: str
    written: Written
    needs: str = ""


def frames(ds: Dataset) -> int:
    """How many frames the object states."""
    return int(ds.get("NumberOfFrames") or 1)


def pictures(ds: Dataset) -> list[bytes]:
    """The code streams of an encapsulated object."""
    return list(generate_frames(ds.PixelData, number_of_frames=frames(ds)))


def decoded(ds: Dataset) -> np.ndarray:
    """Its frames, uint8 (T, H, W, C)."""
    return frames_of(ds, range(1, frames(ds) + 1))


def with_pixels(ds: Dataset, screens: np.ndarray, label: str) -> Dataset:
    """The object with these frames, uncompressed; their samples are what `label` says they are."""
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.PhotometricInterpretation, ds.SamplesPerPixel = label, screens.shape[-1]
    ds.PlanarConfiguration = 0
    raw = np.ascontiguousarray(screens).tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = False
    return ds


def changed(**values: object) -> Written:
    """Attributes of the data set set to other values; None deletes."""

    def written(ds: Dataset) -> bytes:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        return part10(ds)

    return written


def region(**values: int) -> Written:
    """Attributes of the 2D region set to other values."""

    def written(ds: Dataset) -> bytes:
        for keyword, value in values.items():
            setattr(ds.SequenceOfUltrasoundRegions[0], keyword, value)
        return part10(ds)

    return written


def whole_frame(ds: Dataset) -> bytes:
    last_corner = {"RegionLocationMaxX1": ds.Columns - 1, "RegionLocationMaxY1": ds.Rows - 1}
    return region(RegionLocationMinX0=0, RegionLocationMinY0=0, **last_corner)(ds)


def region_of_before(ds: Dataset) -> bytes:
    """The region of a picture half as large again: a router resized the pixels and left the header as it was."""
    item = ds.SequenceOfUltrasoundRegions[0]
    for name in ("MinX0", "MinY0", "MaxX1", "MaxY1"):
        keyword = f"RegionLocation{name}"
        setattr(item, keyword, getattr(item, keyword) * 3 // 2)
    return part10(ds)


def text_over_tissue(ds: Dataset) -> bytes:
    """A line of text in the middle of the region, on every frame, as a person types it on the picture."""
    screens, item = decoded(ds)[..., :1].copy(), ds.SequenceOfUltrasoundRegions[0]
    x = (item.RegionLocationMinX0 + item.RegionLocationMaxX1) // 2 - 70
    y = (item.RegionLocationMinY0 + item.RegionLocationMaxY1) // 2
    for screen in screens:
        cv2.putText(screen, "PHANTOM 1970", (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (235,), 1, cv2.LINE_AA)
    return part10(with_pixels(ds, screens, "MONOCHROME2"))


def as_rgb(ds: Dataset) -> np.ndarray:
    """Its frames as RGB."""
    screens = decoded(ds)
    return np.repeat(screens, 3, axis=-1) if screens.shape[-1] == 1 else screens


def rgb_said_to_be_ybr(ds: Dataset) -> bytes:
    return part10(with_pixels(ds, as_rgb(ds), "YBR_FULL"))


def ybr_said_to_be_rgb(ds: Dataset) -> bytes:
    return part10(with_pixels(ds, to_ybr(as_rgb(ds)), "RGB"))


def channels_turned(ds: Dataset) -> bytes:
    """Cb, Cr, Y where Y, Cb, Cr must be: black turns green."""
    return part10(with_pixels(ds, np.roll(to_ybr(as_rgb(ds)), 1, axis=-1), "YBR_FULL"))


def black(ds: Dataset) -> bytes:
    return part10(with_pixels(ds, np.zeros_like(decoded(ds)[..., :1]), "MONOCHROME2"))


def white_around(ds: Dataset) -> bytes:
    """A page: all that is dark outside the region is white, the picture is sound."""
    screens, item = decoded(ds)[..., :1].copy(), ds.SequenceOfUltrasoundRegions[0]
    inside = np.zeros(screens.shape[1:3], bool)
    inside[
        item.RegionLocationMinY0 : item.RegionLocationMaxY1 + 1, item.RegionLocationMinX0 : item.RegionLocationMaxX1 + 1
    ] = True
    screens[:, ~inside] = 255 - screens[:, ~inside]
    return part10(with_pixels(ds, screens, "MONOCHROME2"))


def inverted(ds: Dataset) -> bytes:
    return part10(with_pixels(ds, 255 - decoded(ds)[..., :1], "MONOCHROME2"))


def fewer_rows(ds: Dataset) -> bytes:
    ds.Rows -= 6
    item = ds.SequenceOfUltrasoundRegions[0]
    item.RegionLocationMaxY1 = min(item.RegionLocationMaxY1, ds.Rows - 1)
    return part10(ds)


def one_frame_smaller(ds: Dataset) -> bytes:
    """The last code stream says that it has eight rows less."""
    *others, last = pictures(ds)
    for mark in (b"\xff\xc0", b"\xff\xc3"):
        at = last.find(mark)
        if at >= 0:
            last = last[: at + 5] + (ds.Rows - 8).to_bytes(2, "big") + last[at + 7 :]
            break
    ds.PixelData = encapsulate([*others, last])
    return part10(ds)


def last_fragment_short(ds: Dataset) -> bytes:
    *others, last = pictures(ds)
    ds.PixelData = encapsulate([*others, last[: len(last) * 2 // 3]])
    return part10(ds)


def last(ds: Dataset) -> Dataset:
    """The object without what its maker puts behind Pixel Data."""
    for tag in [element.tag for element in ds if element.tag > 0x7FE00010]:
        del ds[tag]
    return ds


def cut(ds: Dataset) -> bytes:
    return part10(last(ds))[:-2000]


def without_delimiter(ds: Dataset) -> bytes:
    return part10(last(ds))[:-8]


def wrong_offsets(ds: Dataset) -> bytes:
    pixels = bytearray(encapsulate(pictures(ds)))
    pixels[12:16] = struct.pack("<L", struct.unpack("<L", pixels[12:16])[0] + 2)  # of the second frame
    ds.PixelData = bytes(pixels)
    return part10(ds)


def one_fragment_less(ds: Dataset) -> bytes:
    ds.PixelData = encapsulate(pictures(ds)[:-1], has_bot=False)
    return part10(ds)


def one_frame_more(ds: Dataset) -> bytes:
    ds.NumberOfFrames = frames(ds) + 1
    return part10(ds)


def before(tag: bytes, what: bytes) -> Written:
    """Bytes put before an element of the data set, found by its tag and VR."""

    def written(ds: Dataset) -> bytes:
        whole = part10(ds)
        at = whole.rindex(tag)
        return whole[:at] + what + whole[at:]

    return written


def again(ds: Dataset) -> bytes:
    """Pixel Data twice."""
    whole = part10(last(ds))
    at = whole.rindex(b"\xe0\x7f\x10\0OB")
    return whole + whole[at:]


def as_floats(ds: Dataset) -> bytes:
    """Float Pixel Data instead of Pixel Data."""
    screens = decoded(ds)[..., :1].astype("<f4")
    del ds.PixelData
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.FloatPixelData = screens.tobytes()
    return part10(ds)


def three_bytes_of_rows(ds: Dataset) -> bytes:
    whole = part10(ds)
    at = whole.rindex(b"\x28\0\x10\0US\x02\0")
    return whole[: at + 6] + b"\x03\0" + whole[at + 8 : at + 10] + b"\0" + whole[at + 10 :]


def many_regions(ds: Dataset) -> bytes:
    (item,) = ds.SequenceOfUltrasoundRegions
    ds.SequenceOfUltrasoundRegions = [item] * 2000
    return part10(ds)


def deep(ds: Dataset) -> bytes:
    """Sequences in one another, 3000 of them, in a private element."""
    opening = b"\x09\0\x01\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return before(b"\x10\0\x10\0PN", opening * 3000 + closing * 3000)(ds)


_BITS = b"\x28\0\x00\x01US"

FAULTS = {
    "no region": Fault("no_regions", changed(SequenceOfUltrasoundRegions=None)),
    "region overflow": Fault("region_overflow", region_of_before),
    "negative region": Fault("region_overflow", region(RegionLocationMinX0=2**32 - 5)),
    "region without area": Fault("region_empty", region(RegionLocationMaxX1=0)),
    "whole-frame region": Fault("region_whole_frame", whole_frame),
    "unknown model": Fault("unknown_model", changed(Manufacturer=None, ManufacturerModelName=None)),
    "text over tissue": Fault("text_on_tissue", text_over_tissue, "still"),
    "wrong rows": Fault("pixel_length", fewer_rows),
    "wrong number of frames": Fault("frame_count", one_frame_more, "clip"),
    "number of frames is 0": Fault("frame_count", changed(NumberOfFrames=0), "clip"),
    "number of frames is missing": Fault("frame_count", changed(NumberOfFrames=None), "clip"),
    "a fragment is missing": Fault("frame_count", one_fragment_less, "coded clip"),
    "an offset is not true": Fault("frame_count", wrong_offsets, "coded clip"),
    "mixed sizes": Fault("frame_size", one_frame_smaller, "jpeg clip"),
    "truncated fragment": Fault("pixels_truncated", last_fragment_short, "coded"),
    "truncated file": Fault("pixels_truncated", cut),
    "no delimiter": Fault("pixels_truncated", without_delimiter, "coded"),
    "RGB labelled YBR": Fault("colour_wrong", rgb_said_to_be_ybr),
    "YBR labelled RGB": Fault("colour_wrong", ybr_said_to_be_rgb),
    "channels turned": Fault("colour_wrong", channels_turned),
    "white background": Fault("background_not_black", white_around),
    "inverted": Fault("background_not_black", inverted),
    "all black": Fault("no_picture", black),
    "secondary capture": Fault("secondary_capture", changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")),
    "volume": Fault("ultrasound_volume", changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.6.2")),
    "stray item delimiter": Fault("malformed", before(_BITS, b"\xfe\xff\x0d\xe0\0\0\0\0")),
    "stray sequence delimiter": Fault("malformed", before(_BITS, b"\xfe\xff\xdd\xe0\0\0\0\0")),
    "stray item": Fault("malformed", before(_BITS, b"\xfe\xff\x00\xe0\0\0\0\0")),
    "element out of order": Fault("malformed", before(_BITS, b"\x10\0\x40\0CS\x02\0O ")),
    "element twice": Fault("malformed", before(_BITS, b"\x28\0\x00\x01US\x02\0\x10\0")),
    "wrong length of a VR": Fault("malformed", three_bytes_of_rows),
    "no VR": Fault("malformed", before(_BITS, b"\x28\0\x90\0??\x02\0\0\0")),
    "value behind the end": Fault("malformed", before(_BITS, b"\x28\0\x90\0UT\0\0\0\0\0\x7f")),
    "Pixel Data twice": Fault("malformed", again),
    "bytes behind the end": Fault("malformed", lambda ds: part10(ds) + b"TRAIL"),
    "many regions": Fault("malformed", many_regions),
    "deep sequences": Fault("malformed", deep),
    "float pixels": Fault("decode_failed", as_floats),
    "other bits": Fault("decode_failed", changed(BitsAllocated=32)),
    "no samples": Fault("decode_failed", changed(SamplesPerPixel=None)),
    "no photometric interpretation": Fault("decode_failed", changed(PhotometricInterpretation=None)),
}
