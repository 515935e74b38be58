"""What may enter: the walk over the stream, the count of frames, the look of a screen."""

import contextlib
import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmwrite, uid
from pydicom.encaps import encapsulate, encapsulate_extended

from dicom_ai.crop.encapsulated import CodedFrames, fragments_of
from dicom_ai.crop.frames import frames_of
from dicom_ai.crop.gate import admit, require_screen
from dicom_ai.crop.strict import DEEPEST, MOST_ELEMENTS, pixel_bytes, pixels_in
from dicom_ai.errors import InputError, NotAnalysable, UnsupportedPixels
from dicom_ai.instance import BARRED, US_IMAGE, US_MULTI_FRAME, US_VOLUME, Instance
from tests.pixels import COLUMNS, ROWS, colour_screen, described, jpeg


def file_of(ds):
    """The object as a Part 10 file."""
    out = io.BytesIO()
    ds.SOPClassUID, ds.SOPInstanceUID = ds.get("SOPClassUID", US_IMAGE), "1.2.3"
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, "1.2.3"
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def reason_of(call):
    with pytest.raises(InputError) as caught:
        call()
    return caught.value.reason


def clip(count=3, **extra):
    grey = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((count, ROWS, COLUMNS), np.uint8)
    return described(grey.tobytes(), "MONOCHROME2", NumberOfFrames=count, SOPClassUID=US_MULTI_FRAME, **extra)


def coded(streams, **extra):
    pixels = extra.pop("pixels", None) or encapsulate(streams)
    ds = described(pixels, "YBR_FULL", uid.JPEGBaseline8Bit, NumberOfFrames=len(streams), **extra)
    ds.SOPClassUID = US_MULTI_FRAME
    return ds


def entered(ds):
    admit(ds, Instance.of(ds, ds.file_meta.TransferSyntaxUID))


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.JPEGBaseline8Bit]
)
def test_the_walk_finds_pixel_data_behind_nested_sequences(syntax):
    ds = coded([jpeg(colour_screen())]) if syntax.is_encapsulated else clip()
    ds.file_meta.TransferSyntaxUID = syntax
    item = described(b"", "MONOCHROME2")
    del item.PixelData
    item.RequestAttributesSequence = [described(b"", "MONOCHROME2")]
    del item.RequestAttributesSequence[0].PixelData
    ds.SequenceOfUltrasoundRegions = [item, item]
    ds["SequenceOfUltrasoundRegions"].is_undefined_length = True
    item.is_undefined_length_sequence_item = True
    ds.private_block(0x7FE1, "TEST", create=True).add_new(1, "OB", b"behind")
    stream = io.BytesIO(file_of(ds))
    where = pixel_bytes(stream)
    found = pixels_in(stream, where).read()
    assert found.startswith(ds.PixelData)
    assert found[len(ds.PixelData) :] in (b"", struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))


@given(st.data())
def test_a_file_cut_anywhere_is_never_taken_for_a_whole_one(data):
    whole = file_of(clip())
    at = data.draw(st.integers(0, len(whole) - 1))
    assert reason_of(lambda: pixel_bytes(io.BytesIO(whole[:at])) or _no_pixels()) in {
        "unreadable", "malformed", "pixels_truncated", "decode_failed",
    }  # fmt: skip


def _no_pixels():
    raise UnsupportedPixels


@given(st.binary(max_size=60), st.integers(0, 400))
def test_other_bytes_anywhere_end_in_a_reason_or_pass(junk, at):
    whole = file_of(clip())
    at = min(132 + at, len(whole))
    with contextlib.suppress(InputError):  # anything else would be a crash
        pixel_bytes(io.BytesIO(whole[:at] + junk + whole[at:]))


def test_nesting_and_number_are_bounded():
    opening = b"\x1f\0\x01\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    whole = file_of(clip())
    at = whole.index(b"\x28\0\x02\0US")

    def put(depth):
        return pixel_bytes(io.BytesIO(whole[:at] + opening * depth + closing * depth + whole[at:]))

    assert put(DEEPEST - 1) is not None
    assert reason_of(lambda: put(DEEPEST + 1)) == "malformed"
    empty_items = b"\xfe\xff\x00\xe0\0\0\0\0" * (MOST_ELEMENTS + 1)
    flood = b"\x1f\0\x01\x10SQ\0\0\xff\xff\xff\xff" + empty_items + b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert reason_of(lambda: pixel_bytes(io.BytesIO(whole[:at] + flood + whole[at:]))) == "malformed"


STREAMS = [jpeg(np.roll(colour_screen(), 8 * k, axis=1)) for k in range(3)]


def halves(stream):
    return [stream[: len(stream) // 4 * 2], stream[len(stream) // 4 * 2 :]]


@pytest.mark.parametrize("has_bot", [True, False])
@pytest.mark.parametrize("parts", [1, 2])
def test_fragments_are_given_to_their_frames(has_bot, parts):
    ds = coded(STREAMS, pixels=encapsulate(STREAMS, fragments_per_frame=parts, has_bot=has_bot))
    found = CodedFrames(ds, 3, is_marked=True)
    assert [found.frame(index).rstrip(b"\0") for index in range(3)] == [one.rstrip(b"\0") for one in STREAMS]
    assert all(found.is_whole(index) for index in range(3))
    entered(ds)


def test_extended_offsets_are_followed_and_checked():
    pixels, offsets, lengths = encapsulate_extended(STREAMS)
    ds = coded(STREAMS, pixels=pixels, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=lengths)
    entered(ds)
    ds.ExtendedOffsetTable = offsets[:-8] + struct.pack("<Q", 4)
    assert reason_of(lambda: entered(ds)) == "frame_count"
    ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = offsets, lengths[:-8]
    assert reason_of(lambda: entered(ds)) == "frame_count"


@pytest.mark.parametrize("stated", [1, 2, 4, 0, 100_000])
@pytest.mark.parametrize("has_bot", [True, False])
def test_another_number_of_frames_is_refused(stated, has_bot):
    ds = coded(STREAMS, pixels=encapsulate(STREAMS, has_bot=has_bot))
    ds.NumberOfFrames = stated
    assert reason_of(lambda: entered(ds)) == "frame_count"
    native = clip()
    native.NumberOfFrames = stated
    assert reason_of(lambda: entered(native)) == "frame_count"


@pytest.mark.parametrize(
    ("more", "reason"),
    [(0, None), (1, "pixel_length"), (2, "pixel_length"), (-1, "pixel_length"), (99, "pixel_length")],
)
def test_bytes_of_a_still_are_counted_exactly(more, reason):
    length = ROWS * COLUMNS + more
    ds = described(bytes(length), "MONOCHROME2", SOPClassUID=US_IMAGE)
    if reason is None:
        entered(ds)
    else:
        assert reason_of(lambda: entered(ds)) == reason


def test_one_byte_of_padding_is_none_too_many():
    ds = described(bytes(3 * 5 * 7 + 1), "RGB", Rows=5, Columns=7, SOPClassUID=US_IMAGE)
    entered(ds)


def test_fragments_that_are_none():
    for pixels in (b"", b"\0" * 8, encapsulate(STREAMS)[8:12], struct.pack("<HHL", 0xFFFE, 0xE000, 0)):
        ds = coded(STREAMS)
        ds.PixelData = pixels
        assert reason_of(lambda ds=ds: entered(ds)) in {"malformed", "pixels_truncated", "frame_count"}
    assert reason_of(lambda: fragments_of(io.BytesIO(encapsulate(STREAMS)), 10**9, must_end=True)) == "pixels_truncated"


@pytest.mark.parametrize("rows", [ROWS - 2, ROWS + 2])
def test_rle_that_is_no_picture_of_this_size_is_refused(rows):
    ds = described(colour_screen().tobytes(), "RGB", SOPClassUID=US_IMAGE)
    ds.compress(uid.RLELossless, encoding_plugin="pydicom")
    entered(ds)
    ds.Rows = rows
    assert reason_of(lambda: entered(ds)) == "pixel_length"
    assert reason_of(lambda: frames_of(ds, [1])) == "frame_size"


def test_rle_cut_short_is_truncated():
    ds = described(colour_screen().tobytes(), "RGB", SOPClassUID=US_IMAGE)
    ds.compress(uid.RLELossless, encoding_plugin="pydicom")
    (begin, length), *_ = fragments_of(io.BytesIO(ds.PixelData), len(ds.PixelData)).pieces
    ds.PixelData = encapsulate([ds.PixelData[begin : begin + length // 2]])
    assert reason_of(lambda: frames_of(ds, [1])) == "pixels_truncated"


@pytest.mark.parametrize(
    ("sop_class", "modality", "barred"),
    [
        (US_IMAGE, "US", None), (US_VOLUME, "US", "ultrasound_volume"),
        (uid.SecondaryCaptureImageStorage, "US", "secondary_capture"),
        (uid.MultiFrameTrueColorSecondaryCaptureImageStorage, "US", "secondary_capture"),
        (uid.SecondaryCaptureImageStorage, "OT", "not_ultrasound"), (uid.CTImageStorage, "US", "not_ultrasound"),
    ],
)  # fmt: skip
def test_only_ultrasound_images_may_enter(sop_class, modality, barred):
    ds = described(bytes(ROWS * COLUMNS), "MONOCHROME2", SOPClassUID=sop_class, Modality=modality)
    instance = Instance.of(ds, ds.file_meta.TransferSyntaxUID)
    assert (instance.barred, instance.is_ultrasound) == (barred, barred is None)
    assert barred is None or barred in BARRED
    if barred is not None:
        with pytest.raises(NotAnalysable) as caught:
            admit(ds, instance)
        assert caught.value.reason == barred


REGION = (40, 40, 160, 160)


def screen(background, inside=0, picture=120):
    frame = np.full((200, 200, 3), background, np.uint8)
    frame[40:160, 40:160] = inside
    frame[60:150, 70:130] = picture
    return frame


@pytest.mark.parametrize("background", [0, 30, 60, (20, 24, 40), 192, (190, 195, 200)])
def test_black_dark_and_light_grey_panels_are_screens(background):
    require_screen(screen(background), [REGION])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (screen(255), "background_not_black"),
        (screen(235), "background_not_black"),
        (screen(255, inside=255, picture=60), "background_not_black"),
        (screen(90, inside=90), "background_not_black"),
        (screen((0, 135, 0), inside=(0, 135, 0)), "colour_wrong"),
        (screen((0, 128, 128), inside=(0, 128, 128)), "colour_wrong"),
    ],
)
def test_what_is_no_screen_is_refused(frame, reason):
    assert reason_of(lambda: require_screen(frame, [REGION])) == reason
