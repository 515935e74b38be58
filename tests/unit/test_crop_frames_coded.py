"""The JPEG family against known pixels: JPEG, lossless JPEG, JPEG-LS, JPEG 2000, HTJ2K."""

import io

import gdcm
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate

from dicom_ai.crop.frames import frames_of
from dicom_ai.errors import UnsupportedPixels
from tests import streams
from tests.pixels import colour_screen, described, jpeg, many_greys, plane, to_ybr

GREY = colour_screen()[..., 1]
J2K = [uid.JPEG2000Lossless, uid.JPEG2000]


def frame_in(stream, label, syntax, **extra):
    return frames_of(described(encapsulate([stream]), label, syntax, **extra), [1])[0].astype(int)


def by_gdcm(ds, syntax, folder):
    """The same image in another syntax, by GDCM's encoder."""
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.6.1", "2.25.1"
    ds.save_as(folder / "in.dcm", enforce_file_format=True)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(folder / "in.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(folder / "out.dcm"))
    assert writer.Write()
    return dcmread(folder / "out.dcm")


LOSSLESS = [uid.JPEGLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEGLSNearLossless, *J2K]
SAMPLES = {
    "grey": (GREY, "MONOCHROME2", {}, GREY[..., None]),
    "inverted": (GREY, "MONOCHROME1", {}, 255 - GREY[..., None]),
    "12 bits": (plane(), "MONOCHROME2", {"BitsAllocated": 16, "BitsStored": 12}, plane()[..., None] >> 4),
    "rgb": (colour_screen(), "RGB", {}, colour_screen()),
}


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("name", SAMPLES)
def test_known_pixels_come_back(tmp_path, name, syntax):
    stored, label, extra, expected = SAMPLES[name]
    ds = by_gdcm(described(stored.tobytes(), label, **extra), syntax, tmp_path)
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(frames_of(ds, [1])[0], expected)


@pytest.mark.parametrize("planar", [0, 1])
def test_ybr_in_jpeg_ls_is_converted_once(planar):
    ds = described(to_ybr(colour_screen()).tobytes(), "YBR_FULL")
    ds.compress(uid.JPEGLSLossless, encoding_plugin="pyjpegls")
    ds.PlanarConfiguration = planar
    assert np.abs(frames_of(ds, [1])[0].astype(int) - colour_screen()).max() <= 2


def test_lossless_jpeg_of_another_encoder():
    for syntax in (uid.JPEGLosslessSV1, uid.JPEGLossless):
        frame = frame_in(streams.JPEG_LOSSLESS_12, "MONOCHROME2", syntax, BitsAllocated=16, BitsStored=12)
        assert np.array_equal(frame[..., 0], plane() >> 4)


def test_jpeg_extended_of_12_bits():
    frame = frame_in(streams.JPEG_12, "MONOCHROME2", uid.JPEGExtended12Bit, BitsAllocated=16, BitsStored=12)
    assert np.array_equal(frame[..., 0], plane() >> 4)


@pytest.mark.parametrize("stored", [8, 12])
def test_jpeg_extended_of_8_bits_is_known_by_its_stream(stored):
    wide = {"BitsAllocated": 16, "BitsStored": 12} if stored == 12 else {}
    stream = jpeg(GREY)
    frame = frame_in(stream, "MONOCHROME2", uid.JPEGExtended12Bit, **wide)
    assert np.abs(frame[..., 0] - (GREY if stored == 8 else GREY >> 4)).max() <= 8  # as Bits Stored says


@pytest.mark.parametrize("label", ["YBR_FULL_422", "YBR_FULL", "RGB"])
def test_jpeg_extended_of_8_bits_and_colour(label):
    assert np.abs(frame_in(jpeg(colour_screen()), label, uid.JPEGExtended12Bit) - colour_screen()).max() <= 12


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K], ids=lambda s: s.keyword)
def test_high_throughput_jpeg_2000(syntax):
    assert np.array_equal(frame_in(streams.HT_GREY, "MONOCHROME2", syntax)[..., 0], GREY)
    assert np.array_equal(frame_in(streams.HT_GREY, "MONOCHROME1", syntax)[..., 0], 255 - GREY)
    for label in ("YBR_RCT", "RGB", "YBR_FULL"):
        assert np.array_equal(frame_in(streams.HT_RGB, label, syntax), colour_screen())
    wide = {"BitsAllocated": 16, "BitsStored": 12}
    assert np.array_equal(frame_in(streams.HT_16, "MONOCHROME2", syntax, **wide)[..., 0], many_greys() >> 4)


def test_high_throughput_jpeg_2000_with_loss():
    assert np.abs(frame_in(streams.HT_LOSSY, "YBR_ICT", uid.HTJ2K) - colour_screen()).max() <= 3


def test_jpeg_2000_with_the_irreversible_transform():
    file = io.BytesIO()
    Image.fromarray(colour_screen()).save(file, "JPEG2000", no_jp2=True, mct=1, irreversible=True)
    for label in ("YBR_ICT", "RGB", "YBR_FULL_422"):
        assert np.abs(frame_in(file.getvalue(), label, uid.JPEG2000) - colour_screen()).max() <= 3


@pytest.mark.parametrize("signed", [0, 1])
def test_jpeg_2000_of_16_bits_signed_or_not(tmp_path, signed):
    values = (plane().astype(np.int32) * 16 - 32768 * signed).astype("<i2" if signed else "<u2")
    ds = described(
        values.tobytes(), "MONOCHROME2", BitsAllocated=16, BitsStored=16, PixelRepresentation=signed
    )  # fmt: skip
    ds = by_gdcm(ds, uid.JPEG2000Lossless, tmp_path)
    assert np.array_equal(frames_of(ds, [1])[0, ..., 0], plane() >> 4)


def siz(width, height, tile=0):
    """HT_RGB with another size, or other tiles, written into its SIZ marker segment."""
    stream = bytearray(streams.HT_RGB)
    if width:
        stream[8:16] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    if tile:
        stream[24:32] = tile.to_bytes(4, "big") * 2
    return bytes(stream)


@pytest.mark.parametrize(
    ("stream", "extra"),
    [
        pytest.param(siz(60_000, 60_000), {}, id="a size that asks for gigabytes"),
        pytest.param(siz(0, 0, tile=0)[:60], {}, id="cut"),
        pytest.param(streams.HT_GREY, {}, id="components"),
        pytest.param(bytes(streams.HT_RGB[:24]) + bytes(8) + bytes(streams.HT_RGB[32:]), {}, id="tiles of no size"),
        pytest.param(b"\0\0\0\x0cjP  \r\n\x87\n" + streams.HT_RGB, {}, id="a JP2 file"),
    ],
)
def test_damaged_jpeg_2000(stream, extra):
    with pytest.raises(UnsupportedPixels) as caught:
        frame_in(stream, "RGB", uid.HTJ2K, **extra)
    assert caught.value.reason == "decode_failed"


@pytest.mark.parametrize(
    "stream", [streams.JPEG_12[:200], streams.JPEG_12.replace(b"\0\x20\0\x30", b"\xff\0\xff\0", 1)]
)
def test_damaged_jpeg_of_12_bits(stream):
    frame = {"BitsAllocated": 16, "BitsStored": 12}
    if len(stream) == 200:  # the decoder fills up what is missing, as with 8 bits; only the size is firm
        frame = frame | {"Rows": 31}
    with pytest.raises(UnsupportedPixels):
        frame_in(stream, "MONOCHROME2", uid.JPEGExtended12Bit, **frame)
