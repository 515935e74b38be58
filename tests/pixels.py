"""A screen whose every pixel is known, and image data sets around encoded pixels."""

import io

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

ROWS, COLUMNS = 32, 48
# a screen: black, with a grey ramp and three patches of colour, each an even number of pixels wide
COLOURS = {(0, 8): (200, 40, 40), (8, 16): (40, 180, 60), (16, 24): (50, 60, 210)}


def colour_screen():
    screen = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    screen[24:] = np.linspace(0, 255, COLUMNS, dtype=np.uint8)[None, :, None]
    for (top, bottom), colour in COLOURS.items():
        screen[top:bottom, 8:16] = colour
    return screen


def described(pixels, photometric, syntax=uid.ExplicitVRLittleEndian, **extra):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.Rows, ds.Columns, ds.PhotometricInterpretation = ROWS, COLUMNS, photometric
    ds.SamplesPerPixel = 1 if photometric.startswith(("MONO", "PALETTE")) else 3
    if ds.SamplesPerPixel == 3:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.PixelRepresentation = 0
    for keyword, value in extra.items():
        setattr(ds, keyword, value)
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = pixels
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    return ds


def to_ybr(rgb):
    """PS3.3 C.7.6.3.1.2, full range."""
    r, g, b = np.moveaxis(rgb.astype(np.float64), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack([y, 128 + (b - y) * 0.564, 128 + (r - y) * 0.713], -1).round().clip(0, 255).astype(np.uint8)


def close(frame, tolerance=4):
    assert frame.shape == (ROWS, COLUMNS, 3)
    assert np.abs(frame.astype(int) - colour_screen()).max() <= tolerance


def jpeg(screen, **options):
    file = io.BytesIO()
    Image.fromarray(screen).save(file, "JPEG", quality=100, subsampling=0, **options)
    return file.getvalue()


def without_markers(stream):
    """Drop APP0 and APP14, so that nothing but the component numbers says what the samples are."""
    out, at = stream[:2], 2
    while stream[at + 1] != 0xDA:
        length = int.from_bytes(stream[at + 2 : at + 4], "big") + 2
        if stream[at + 1] not in (0xE0, 0xEE):
            out += stream[at : at + length]
        at += length
    return out + stream[at:]


def plane():
    """Grey of 12 bits that rises to the right and down."""
    return np.add.outer(np.arange(ROWS) * 50, np.arange(COLUMNS) * 40).astype(np.uint16)


def many_greys():
    """Grey of 12 bits in which no neighbour is alike."""
    return (np.arange(ROWS * COLUMNS) * 7 % 4096).astype(np.uint16).reshape(ROWS, COLUMNS)


def with_palette(ds, red, green, blue, first=0, bits=16):
    """Add the three tables as bytes in the byte order of the transfer syntax; entries as numbers."""
    for colour, entries in (("Red", red), ("Green", green), ("Blue", blue)):
        order = "<" if ds.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.asarray(entries, np.uint8 if bits == 8 else f"{order}u2").tobytes()
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [len(entries) % 65536, first, bits])
        setattr(ds, f"{colour}PaletteColorLookupTableData", data)
    return ds
