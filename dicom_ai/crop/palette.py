"""PALETTE COLOR: stored values to RGB of 8 bits through the tables of the object (PS3.3 C.7.6.3.1.5 and .6).

Forgiving where the meaning is plain (entries of 8 bits announced as 16, 8-bit values in 16-bit entries, a padded odd
table), and firm elsewhere. What this is not: the Supplemental Palette, which colours only a part of the grey range.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from dicom_ai.crop.colour import Frame
from dicom_ai.errors import UnsupportedPixels

_COLOURS = ("Red", "Green", "Blue")


def through_palette(values: npt.NDArray[Any], ds: Dataset) -> Frame:
    """Look the values up; those below the first mapped one get the first colour, those beyond the last the last.

    Args:
        values: integers (H, W).
        ds: with the three descriptors and tables, plain or segmented, and its file meta information.

    Returns:
        uint8 (H, W, 3).

    Raises:
        UnsupportedPixels: tables and descriptor contradict each other.
    """
    entries, first, _ = (int(number) for number in ds.RedPaletteColorLookupTableDescriptor)
    entries = entries & 0xFFFF or 1 << 16  # 0 stands for 65536
    if not ds.get("PixelRepresentation", 0):
        first &= 0xFFFF  # stored as SS by some
    if "RedPaletteColorLookupTableData" in ds:
        table = np.stack([_plain(ds, colour, entries) for colour in _COLOURS], axis=-1)
    else:
        table = _segmented(ds, entries)
    if table.dtype != np.uint8:
        # C.7.6.3.1.6 wants 16-bit entries to span the range; some makers write 8-bit values into them
        table = (table if table.max() < 256 else table >> 8).astype(np.uint8)
    frame: Frame = table[np.clip(values.astype(np.int32) - first, 0, entries - 1)]
    return frame


def _plain(ds: Dataset, colour: str, entries: int) -> npt.NDArray[Any]:
    """One table as uint8 or uint16 (entries,); the number of bytes, not the descriptor, says how wide they are."""
    element = ds[f"{colour}PaletteColorLookupTableData"]
    if not isinstance(element.value, bytes):  # VR US: the reader has made numbers of them
        table = np.atleast_1d(np.asarray(element.value, np.uint16))
    else:
        is_little = bool(ds.file_meta.TransferSyntaxUID.is_little_endian)
        is_wide = len(element.value) >= 2 * entries
        if not is_wide and not is_little and element.VR == "OW":
            table = np.frombuffer(element.value, "<u2").byteswap().view(np.uint8)  # two entries to a word
        else:
            table = np.frombuffer(element.value, ("<u2" if is_little else ">u2") if is_wide else np.uint8)
    if not entries <= len(table) <= entries + 1:
        raise UnsupportedPixels("palette")
    return table[:entries].astype(table.dtype.newbyteorder("="))


def _segmented(ds: Dataset, entries: int) -> npt.NDArray[Any]:
    """The tables of PS3.3 C.7.9.2, unfolded."""
    tables = Dataset()
    tables.file_meta = ds.file_meta
    for element in ds.group_dataset(0x0028):
        tables.add(element)
    for colour in _COLOURS:
        bits = int(ds[f"{colour}PaletteColorLookupTableDescriptor"].value[2])
        # the library counts the values from 0; the first mapped one is taken off by the caller
        setattr(tables, f"{colour}PaletteColorLookupTableDescriptor", [entries % (1 << 16), 0, bits])
    table: npt.NDArray[Any] = apply_color_lut(np.arange(entries, dtype=np.int32), tables)[:, :3]
    if table.dtype == np.uint8 and entries > 256:
        raise UnsupportedPixels("palette")  # the library would count in 8 bits
    return table
