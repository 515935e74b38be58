import io

import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from dicom_ai.crop.frames import PLUGINS, frames_of
from dicom_ai.errors import UnsupportedPixels
from tests.pixels import COLUMNS, ROWS, close, colour_screen, described, jpeg, to_ybr, without_markers


def test_named_frames_only_and_in_order():
    clip = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((5, ROWS, COLUMNS), np.uint8)
    ds = described(clip.tobytes(), "MONOCHROME2", NumberOfFrames=5)
    frames = frames_of(ds, [2, 5])
    assert frames.shape == (2, ROWS, COLUMNS, 1)
    assert frames[:, 0, 0, 0].tolist() == [1, 4]


def test_pixel_data_may_be_an_open_file():
    clip = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, ROWS, COLUMNS), np.uint8)
    ds = described(clip.tobytes(), "MONOCHROME2", NumberOfFrames=3)
    stream = io.BufferedReader(io.BytesIO(b"header" + clip.tobytes()))
    stream.seek(6)
    del ds.PixelData
    ds.add_new(0x7FE00010, "OB", stream)
    assert frames_of(ds, [1, 3])[:, 0, 0, 0].tolist() == [0, 2]


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_interleaved_or_by_plane(planar):
    screen = colour_screen()
    stored = screen if planar == 0 else np.moveaxis(screen, -1, 0)
    close(frames_of(described(stored.tobytes(), "RGB", PlanarConfiguration=planar), [1])[0], 0)


@pytest.mark.parametrize("planar", [0, 1])
def test_ybr_full_is_converted_once(planar):
    stored = to_ybr(colour_screen())
    stored = stored if planar == 0 else np.moveaxis(stored, -1, 0)
    close(frames_of(described(stored.tobytes(), "YBR_FULL", PlanarConfiguration=planar), [1])[0])


def test_ybr_full_422_is_expanded_and_converted_once():
    ybr = to_ybr(colour_screen())
    stored = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], -1)
    close(frames_of(described(stored.tobytes(), "YBR_FULL_422"), [1])[0])


@pytest.mark.parametrize("label", ["YBR_FULL_422", "YBR_FULL", "RGB"])
@pytest.mark.parametrize("marks", ["jfif", "none"])
def test_jpeg_of_ycbcr_samples_comes_back_rgb_whatever_its_label(label, marks):
    stream = jpeg(colour_screen())
    stream = without_markers(stream) if marks == "none" else stream
    close(frames_of(described(encapsulate([stream]), label, uid.JPEGBaseline8Bit), [1])[0], 12)


@pytest.mark.parametrize("label", ["YBR_FULL_422", "RGB"])
def test_jpeg_of_rgb_samples_comes_back_rgb_whatever_its_label(label):
    stream = jpeg(colour_screen(), keep_rgb=True)
    close(frames_of(described(encapsulate([stream]), label, uid.JPEGBaseline8Bit), [1])[0], 12)


def test_jpeg_of_rgb_samples_without_any_mark_is_told_by_its_dark_screen():
    stream = without_markers(jpeg(colour_screen(), keep_rgb=True))
    for start in (b"\xff\xc0", b"\xff\xda"):  # component numbers R, G, B become 1, 2, 3
        at = stream.index(start) + (10 if start == b"\xff\xc0" else 5)
        step = 3 if start == b"\xff\xc0" else 2
        for number in range(3):
            position = at + step * number
            stream = stream[:position] + bytes([number + 1]) + stream[position + 1 :]
    close(frames_of(described(encapsulate([stream]), "RGB", uid.JPEGBaseline8Bit), [1])[0], 12)


def test_jpeg_of_one_component_stays_grey():
    grey = colour_screen()[:, :, 1]
    frame = frames_of(described(encapsulate([jpeg(grey)]), "MONOCHROME2", uid.JPEGBaseline8Bit), [1])[0]
    assert frame.shape == (ROWS, COLUMNS, 1)
    assert np.abs(frame[:, :, 0].astype(int) - grey).max() <= 8


@pytest.mark.parametrize(("black", "label"), [((0, 0, 0), "YBR_FULL"), ((0, 128, 128), "RGB")])
def test_wrong_colour_conversion_is_refused_instead_of_shown_tinted(black, label):
    """Black of RGB labelled YBR turns green, black of YBR labelled RGB turns teal."""
    screen = np.zeros((ROWS, COLUMNS, 3), np.uint8) + np.array(black, np.uint8)
    with pytest.raises(UnsupportedPixels) as caught:
        frames_of(described(screen.tobytes(), label), [1])
    assert caught.value.reason == "colour_wrong"


@pytest.mark.parametrize(
    ("stored", "signed", "value", "expected"),
    [(16, 0, 65535, 255), (16, 0, 256, 1), (12, 0, 4095, 255), (12, 0, 2048, 128), (10, 0, 4, 1), (12, 1, -2048, 0)],
)
def test_grey_of_more_bits_is_scaled_by_bits_stored(stored, signed, value, expected):
    pixels = np.full((ROWS, COLUMNS), value, np.int16 if signed else np.uint16)
    ds = described(pixels.tobytes(), "MONOCHROME2", BitsAllocated=16, BitsStored=stored, PixelRepresentation=signed)
    assert frames_of(ds, [1]).ravel()[0] == expected


def test_monochrome1_is_inverted():
    pixels = np.full((ROWS, COLUMNS), 250, np.uint8)
    assert frames_of(described(pixels.tobytes(), "MONOCHROME1"), [1]).max() == 5


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless])
def test_lossless_compression_gives_the_same_frame(syntax):
    ds = described(colour_screen().tobytes(), "RGB")
    ds.compress(syntax, encoding_plugin="pydicom" if syntax == uid.RLELossless else "pyjpegls")
    close(frames_of(ds, [1])[0], 0)


@pytest.mark.parametrize("label", ["RGB", "YBR_RCT", "YBR_FULL"])
def test_jpeg_2000_that_undoes_its_own_transform_comes_back_rgb_whatever_its_label(label):
    file = io.BytesIO()
    Image.fromarray(colour_screen()).save(file, "JPEG2000", no_jp2=True, mct=1, irreversible=False)
    close(frames_of(described(encapsulate([file.getvalue()]), label, uid.JPEG2000Lossless), [1])[0], 0)


def test_jpeg_2000_of_ybr_samples_without_a_transform_is_converted_once():
    file = io.BytesIO()
    Image.fromarray(to_ybr(colour_screen())).save(file, "JPEG2000", no_jp2=True, mct=0, irreversible=False)
    close(frames_of(described(encapsulate([file.getvalue()]), "YBR_FULL", uid.JPEG2000Lossless), [1])[0])


@pytest.mark.parametrize("syntax", [uid.JPEG2000MC, uid.DeflatedExplicitVRLittleEndian, uid.UID("1.2.3.4")])
def test_syntax_without_a_named_plugin_is_unsupported(syntax):
    with pytest.raises(UnsupportedPixels) as caught:
        frames_of(described(colour_screen().tobytes(), "RGB", syntax), [1])
    assert caught.value.reason == "unsupported_syntax"


@pytest.mark.parametrize(
    "ds",
    [
        pytest.param(described(b"\0" * 100, "RGB"), id="too short"),
        pytest.param(described(encapsulate([b"\xff\xd8\xff\xd9"]), "RGB", uid.JPEGBaseline8Bit), id="empty stream"),
        pytest.param(described(encapsulate([jpeg(colour_screen())[:400]]), "RGB", uid.JPEGBaseline8Bit), id="cut"),
        pytest.param(described(encapsulate([jpeg(colour_screen()[:16])]), "RGB", uid.JPEGBaseline8Bit), id="size"),
        pytest.param(described(encapsulate([b"nonsense" * 9]), "RGB", uid.JPEG2000), id="no code stream"),
        pytest.param(described(encapsulate([b"\0" * 64]), "RGB", uid.RLELossless), id="no segments"),
        pytest.param(described(b"", "RGB", Rows=65535, Columns=65535), id="impossible size"),
        pytest.param(described(b"\0" * 9000, "RGB", BitsAllocated=32), id="bits"),
        pytest.param(described(b"\0" * (3 * ROWS * COLUMNS), "HSV"), id="colour space"),
        pytest.param(described(b"\0" * (ROWS * COLUMNS), "PALETTE COLOR"), id="no palette"),
    ],
)
def test_damaged_pixels_fail_with_their_reason(ds):
    with pytest.raises(UnsupportedPixels) as caught:
        frames_of(ds, [1])
    assert caught.value.reason == "decode_failed"


def test_frame_that_is_not_there_fails():
    ds = described(colour_screen().tobytes(), "RGB", NumberOfFrames=1)
    with pytest.raises(UnsupportedPixels):
        frames_of(ds, [2])


def test_every_encapsulated_syntax_names_its_plugin():
    assert all(bool(plugin) == syntax.is_encapsulated for syntax, plugin in PLUGINS.items())
