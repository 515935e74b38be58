"""Video streams of known samples: count, size, order, range, matrix, containers, fragments, damage."""

import io

import cv2
import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from dicom_ai.crop import video
from dicom_ai.crop.frames import VIDEO, frames_of, iter_frames
from dicom_ai.errors import UnsupportedPixels
from tests.pixels import described
from tests.videos import SILENT, Signal, contained, h264, hevc, mpeg2

ROWS, COLUMNS = 34, 50  # no multiple of a block, so that the streams crop
H264, HEVC = uid.MPEG4HP41, uid.HEVCMP51
FULL = Signal(is_full=True)
H264_SYNTAXES = [syntax for syntax in VIDEO if "MPEG-4" in syntax.name]
MPEG2_SYNTAXES = [syntax for syntax in VIDEO if "MPEG2" in syntax.name]


def grey_pictures(count=5, top=236, dtype=np.uint8, rest=128):
    random = np.random.default_rng(7)
    half = (ROWS // 2, COLUMNS // 2)
    return [
        (random.integers(top // 15, top, (ROWS, COLUMNS)).astype(dtype), *(np.full(half, rest, dtype),) * 2)
        for _ in range(count)
    ]


def clip(stream, syntax=H264, frames=5, **extra):
    parts = stream if isinstance(stream, list) else [stream]
    shape = {"Rows": ROWS, "Columns": COLUMNS, "NumberOfFrames": frames}
    return described(encapsulate(parts, has_bot=False), "YBR_PARTIAL_420", syntax, **shape | extra)


def luma(picture, signal=SILENT, scale=1):
    y = picture[0].astype(float) / scale
    return y if signal.is_full else ((y - 16) * 255 / 219).clip(0, 255)


def equations(y, cb, cr, matrix, is_full):
    """ITU-T H.273 8.3, for 8 bits."""
    kr, kb = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}[matrix]
    y, cb, cr = (
        (y / 255, (cb - 128) / 255, (cr - 128) / 255)
        if is_full
        else ((y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224)
    )
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return np.array([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue]).clip(0, 1) * 255


@pytest.mark.parametrize("encode", [h264, hevc])
@pytest.mark.parametrize("signal", [SILENT, FULL, Signal(1), Signal(6, is_full=True)], ids=str)
def test_every_sample_of_every_frame_comes_back(encode, signal):
    pictures = grey_pictures()
    frames = frames_of(clip(encode(pictures, signal), H264 if encode is h264 else HEVC), [1, 2, 3, 4, 5])
    assert frames.shape == (5, ROWS, COLUMNS, 3)
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame - luma(picture, signal)[..., None]).max() <= (0 if signal.is_full else 1)


@pytest.mark.parametrize("signal", [SILENT, FULL], ids=str)
def test_hevc_of_10_bits(signal):
    pictures = grey_pictures(3, top=940, dtype=np.uint16, rest=512)
    frames = frames_of(clip(hevc(pictures, signal, depth=10), uid.HEVCM10P51, 3), [1, 2, 3])
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame - luma(picture, signal, scale=4)[..., None]).max() <= 3


@pytest.mark.parametrize("encode", [h264, hevc])
@pytest.mark.parametrize(("stated", "meant"), [(None, 6), (6, 6), (5, 6), (1, 1)])
@pytest.mark.parametrize("is_full", [False, True])
def test_matrix_and_range_are_those_of_the_stream(encode, stated, meant, is_full):
    # an ultrasound screen is dark; the colour is in a patch
    picture = np.full((ROWS, COLUMNS), 16), np.full((ROWS // 2, COLUMNS // 2), 128), np.full((17, 25), 128)
    for plane, value in zip(picture, (120, 90, 200), strict=True):
        plane[: plane.shape[0] // 2, : plane.shape[1] // 2] = value
    stream = encode([tuple(plane.astype(np.uint8) for plane in picture)], Signal(stated, is_full=is_full))
    (frame,) = frames_of(clip(stream, H264 if encode is h264 else HEVC, 1), [1])
    assert np.abs(frame[6, 10] - equations(120, 90, 200, meant, is_full)).max() <= 2
    other = equations(120, 90, 200, 7 - meant, is_full)
    assert np.abs(frame[6, 10] - other).max() > 4, "the other matrix would be seen"


def test_only_the_named_frames_and_in_order():
    pictures = grey_pictures()
    frames = list(iter_frames(clip(h264(pictures, FULL)), [2, 5]))
    assert [int(frame[0, 0, 0]) for frame in frames] == [int(pictures[at][0][0, 0]) for at in (1, 4)]


def test_grey_by_header_gives_one_channel():
    pictures = grey_pictures(1)
    ds = clip(h264(pictures, FULL), frames=1, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2")
    assert np.array_equal(frames_of(ds, [1])[0, ..., 0], pictures[0][0])


@pytest.mark.parametrize("syntax", H264_SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_h264_in_every_syntax_and_cut_into_fragments(syntax):
    pictures, stream = grey_pictures(), h264(grey_pictures(), FULL)
    parts = [stream[at : at + 1002] for at in range(0, len(stream), 1002)]
    parts = [part + b"\0" * (len(part) % 2) for part in parts]
    for ds in (clip(stream, syntax), clip(parts, syntax)):
        assert np.array_equal(frames_of(ds, [1, 5])[:, ..., 0], [pictures[0][0], pictures[4][0]])


def test_fragments_lie_in_an_open_file_and_the_file_stays_where_it_was():
    pictures, stream = grey_pictures(), h264(grey_pictures(), FULL)
    ds = clip([stream[:2000], stream[2000:]])
    source = io.BufferedReader(io.BytesIO(b"header" + ds.PixelData))
    source.seek(6)
    del ds.PixelData
    ds.add_new(0x7FE00010, "OB", source)
    for _ in range(2):
        assert np.array_equal(frames_of(ds, [5])[0, ..., 0], pictures[4][0])
    assert source.tell() == 6


@pytest.mark.parametrize(("codec", "suffix"), [("avc1", "mp4"), ("H264", "ts"), ("hvc1", "mp4"), ("HEVC", "ts")])
def test_containers(tmp_path, codec, suffix):
    encode, syntax = (h264, H264) if codec in {"avc1", "H264"} else (hevc, HEVC)
    pictures = grey_pictures()
    units = [encode([picture], FULL) for picture in pictures]
    stream = contained(tmp_path / f"a.{suffix}", codec, units, (COLUMNS, ROWS))
    frames = frames_of(clip(stream, syntax), [1, 3, 5])
    assert np.array_equal(frames[..., 0], [pictures[at][0] for at in (0, 2, 4)])


@pytest.mark.parametrize("syntax", MPEG2_SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("suffix", ["m2v", "ts", "mpg"])
def test_mpeg_2(tmp_path, syntax, suffix):
    greys = [20, 60, 100, 140, 180, 220]
    stream = mpeg2(tmp_path / f"a.{suffix}", greys, (64, 48))
    frames = frames_of(clip(stream, syntax, 6, Rows=48, Columns=64), range(1, 7))
    assert frames.shape == (6, 48, 64, 3)
    for frame, grey in zip(frames, greys, strict=True):
        assert np.abs(frame.astype(int) - grey).max() <= 5  # its encoder loses some


def test_memory_does_not_grow_with_the_length(monkeypatch):
    taken = []
    retrieved = video._retrieved
    monkeypatch.setattr(video, "_retrieved", lambda *given: taken.append(1) or retrieved(*given))
    pictures = grey_pictures(2) * 100
    frames = iter_frames(clip(h264(pictures, FULL), frames=200), [1, 100, 200])
    next(frames)
    assert len(taken) == 1, "a frame is converted when it is asked for"
    assert len(list(frames)) == 2
    assert len(taken) == 3, "and frames that are not asked for are never converted"


STREAM = h264(grey_pictures(), FULL)


@pytest.mark.parametrize(
    ("ds", "reason"),
    [
        pytest.param(clip(STREAM, frames=4), "frame_count", id="more frames than announced"),
        pytest.param(clip(STREAM, frames=6), "frame_count", id="fewer frames than announced"),
        pytest.param(clip(STREAM, frames=100_000), "frame_count", id="a hundred thousand announced"),
        pytest.param(clip(STREAM, Rows=36), "pixel_length", id="rows"),
        pytest.param(clip(STREAM, Columns=48), "pixel_length", id="columns"),
        pytest.param(clip(STREAM[: len(STREAM) * 2 // 5]), "frame_count", id="cut"),
    ],
)
def test_video_that_is_not_as_announced_fails(ds, reason):
    with pytest.raises(UnsupportedPixels) as caught:
        frames_of(ds, [1])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "ds",
    [
        pytest.param(clip(b"nonsense" * 99), id="no stream"),
        pytest.param(clip(b"\0\0\0\1" + b"\x67nonsense" * 99), id="a start code and nonsense"),
        pytest.param(clip(b"\0\0"), id="empty"),
        pytest.param(clip(b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"), id="a play list"),
        pytest.param(clip(b"ffconcat version 1.0\nfile /etc/hostname\n"), id="a list of files"),
        pytest.param(clip(STREAM, PhotometricInterpretation="PALETTE COLOR", SamplesPerPixel=1), id="palette"),
        pytest.param(described(STREAM, "YBR_PARTIAL_420", H264, Rows=34, Columns=50), id="not encapsulated"),
    ],
)
def test_damaged_video_fails(ds):
    with pytest.raises(UnsupportedPixels) as caught:
        frames_of(ds, [1])
    assert caught.value.reason == "decode_failed"


def test_another_codec_in_mp4_is_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", video.CAPTURE_OPTIONS)  # as the decoding child has it
    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    with pytest.raises(UnsupportedPixels):
        frames_of(clip((tmp_path / "a.mp4").read_bytes(), frames=1, Rows=48, Columns=64), [1])
    assert len(frames_of(clip(STREAM), [1])) == 1


def test_another_container_is_not_opened(tmp_path, monkeypatch):
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mpg2"), 25, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    opened = []
    for options in ("", video.CAPTURE_OPTIONS):
        monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", options)
        capture, source = cv2.VideoCapture(), io.BytesIO((tmp_path / "a.avi").read_bytes())
        opened.append(capture.open(source, cv2.CAP_FFMPEG, []))
        capture.release()  # before its source is gone
    assert opened == [True, False]
