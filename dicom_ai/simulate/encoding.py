"""Frames to Pixel Data as scanners write it: uncompressed, JPEG Baseline, JPEG Lossless, RLE.

What this is not: a converter; it is only ever given drawn pictures.
"""

import gdcm
import numpy as np
import simplejpeg
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless
from rle.utils import encode_pixel_data

from dicom_ai.simulate.device import Encoding
from dicom_ai.simulate.geometry import Grey

JPEG_QUALITY = 92


def add_frames(ds: Dataset, frames: Grey, encoding: Encoding) -> UID:
    """Write Pixel Data and the attributes that describe it.

    Args:
        ds: gets Rows, Columns, bits, Photometric Interpretation and Pixel Data.
        frames: uint8 (T, rows, columns) or (T, rows, columns, 3) RGB.
        encoding: what the scanner writes.

    Returns:
        The transfer syntax.
    """
    colour = frames.ndim == 4
    ds.Rows, ds.Columns = frames.shape[1:3]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        ds.PlanarConfiguration = 0
    if encoding == "raw":
        raw = np.ascontiguousarray(frames).tobytes()
        ds.PixelData = raw + b"\0" * (len(raw) % 2)
        ds["PixelData"].VR = "OB"
        return ExplicitVRLittleEndian
    if encoding == "jpeg":
        _encapsulated(ds, _jpeg(ds, frames))
        return JPEGBaseline8Bit
    if encoding == "jpeg-lossless":
        _encapsulated(ds, [_lossless(frame) for frame in frames])
        return JPEGLosslessSV1
    _encapsulated(ds, _rle_ybr(ds, frames))
    return RLELossless


def _encapsulated(ds: Dataset, pictures: list[bytes]) -> None:
    ds.PixelData = encapsulate(pictures)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True


def _jpeg(ds: Dataset, frames: Grey) -> list[bytes]:
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_FULL_422", 0
    colour = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
    pictures = [
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(frame), quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="422"
        )
        for frame in colour
    ]
    ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
    ds.LossyImageCompressionRatio = round(colour.nbytes / sum(map(len, pictures)), 1)
    return pictures


def _rle_ybr(ds: Dataset, frames: Grey) -> list[bytes]:
    """Planar YBR_FULL, as a maker writes it: Planar Configuration 1 although RLE has planes by itself."""
    # a new array in both cases: the conversion by frames is done in place
    rgb = frames.copy() if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_FULL", 1
    ybr = convert_color_space(rgb, "RGB", "YBR_FULL", per_frame=True)
    size = {"rows": ds.Rows, "columns": ds.Columns, "samples_per_pixel": 3, "bits_allocated": 8}
    return [encode_pixel_data(np.ascontiguousarray(frame).tobytes(), byteorder="<", **size) for frame in ybr]


def _lossless(frame: Grey) -> bytes:
    """One frame as JPEG Lossless, process 14, selection value 1."""
    writer = gdcm.ImageWriter()  # must outlive its image
    image = writer.GetImage()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((frame.shape[1], frame.shape[0], 1))
    kind = gdcm.PhotometricInterpretation.RGB if frame.ndim == 3 else gdcm.PhotometricInterpretation.MONOCHROME2
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian))
    image.SetPixelFormat(gdcm.PixelFormat(3 if frame.ndim == 3 else 1, 8, 8, 7, 0))
    pixels = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixels.SetByteStringValue(np.ascontiguousarray(frame).tobytes())
    image.SetDataElement(pixels)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(image)
    if not change.Change():
        raise RuntimeError("GDCM does not encode JPEG Lossless here")
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    return bytes(fragments.GetFragment(0).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape"))
