"""Objects made to kill, fill, stop or fool a decoder: each ends alone, with a true reason, and leaves nothing."""

import os
import re
import resource
import signal
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from dicom_ai.crop.emit import full_frame
from dicom_ai.crop.examine import Asked
from dicom_ai.crop.policy import Policy
from dicom_ai.kept import mask_of
from tests import streams
from tests.deflating import MIB, deflated, element
from tests.pixels import jpeg
from tests.protocol.test_crop_child import (
    COLUMNS,
    ROWS,
    children_of,
    cropper,
    instance,
    saved,
    screens,
    sound,  # noqa: F401 - a fixture
    wait_until,
)
from tests.videos import Signal, h264

WIDE = 8000
"""Rows and columns of the largest frame that is not refused at once."""


@pytest.fixture(scope="module")
def crop():
    with cropper(memory_mib=768, timeout_s=20.0, policy=Policy(deflated=True)) as real:
        yield real


def coded(syntax, stream, **changes):
    ds = instance(screens()[0], PixelData=encapsulate(stream if isinstance(stream, list) else [stream]), **changes)
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def video(frames=6, damaged=False):
    """A clip as H.264 whose samples are those of the screens; damaged: a part of a picture is overwritten."""
    clip, _ = screens(frames)
    half = np.full((ROWS // 2, COLUMNS // 2), 128, np.uint8)
    stream = bytearray(h264([(frame, half, half) for frame in clip], Signal(is_full=True)))
    if damaged:
        within = len(stream) * 5 // 12  # the middle of a picture, so that their number stays
        stream[within : within + 400] = bytes(400)
    ds = coded(
        uid.MPEG4HP41, bytes(stream) + b"\0" * (len(stream) % 2), SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1",
        NumberOfFrames=frames, SamplesPerPixel=3, PhotometricInterpretation="YBR_PARTIAL_420", PlanarConfiguration=0,
    )  # fmt: skip
    return ds, clip


def asking_for(width, height):
    """A JPEG 2000 stream of some hundred bytes that announces another size, as one tile."""
    stream = bytearray(streams.HT_GREY)
    stream[8:16] = stream[24:32] = struct.pack(">II", width, height)
    return bytes(stream)


def rle(rows, columns, **changes):
    header = struct.pack("<16L", 1, 64, *[0] * 14)
    return coded(uid.RLELossless, header + b"\x81\0" * 100, Rows=rows, Columns=columns, **changes)


def many(syntax, stream):
    return coded(syntax, stream, NumberOfFrames=100_000, SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1")


def endless(ds):
    ds.NumberOfFrames = 100_000
    return ds


OBJECTS = {
    "rle of 65535 x 65535": ("decode_failed", lambda: rle(65_535, 65_535)),
    "rle of 8000 x 8000": ("pixel_length", lambda: rle(WIDE, WIDE)),
    "rle of 8000 x 8000 and a hundred thousand frames": (
        "frame_count",
        lambda: rle(WIDE, WIDE, NumberOfFrames=100_000),
    ),
    "jpeg 2000 of another size": ("pixel_length", lambda: coded(uid.JPEG2000Lossless, asking_for(60_000, 60_000))),
    "jpeg 2000 of 8000 x 8000": (
        "decode_failed",
        lambda: coded(uid.JPEG2000, asking_for(WIDE, WIDE), Rows=WIDE, Columns=WIDE),
    ),
    "htj2k of 8000 x 8000": (
        "decode_failed",
        lambda: coded(uid.HTJ2K, asking_for(WIDE, WIDE), Rows=WIDE, Columns=WIDE),
    ),
    "jpeg cut short": ("pixels_truncated", lambda: coded(uid.JPEGBaseline8Bit, jpeg(screens()[0][0])[:3000])),
    "jpeg lossless cut short": (
        "pixels_truncated",
        lambda: coded(uid.JPEGLosslessSV1, streams.JPEG_LOSSLESS_12[:300]),
    ),
    "jpeg-ls of nonsense": (
        "pixels_truncated",
        lambda: coded(uid.JPEGLSLossless, b"\xff\xd8\xff\xf7" + bytes(400)),
    ),
    "frames: 100,000 uncompressed": ("frame_count", lambda: instance(screens()[0], NumberOfFrames=100_000)),
    "frames: 100,000 rle": (
        "frame_count",
        lambda: many(uid.RLELossless, struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * 100),
    ),
    "frames: 100,000 jpeg": ("frame_count", lambda: many(uid.JPEGBaseline8Bit, jpeg(screens()[0][0]))),
    "frames: 100,000 jpeg 2000": ("frame_count", lambda: many(uid.JPEG2000, streams.HT_GREY)),
    "frames: 100,000 h264": ("frame_count", lambda: endless(video()[0])),
    "video with concealed damage": ("decode_failed", lambda: video(damaged=True)[0]),
    "video: a play list": (
        "decode_failed",
        lambda: coded(uid.MPEG4HP41, b"#EXTM3U\n#EXTINF:9,\nfile:///etc/hostname\n"),
    ),
    "video: a list of files": (
        "decode_failed",
        lambda: coded(uid.MPEG4HP41, b"ffconcat version 1.0\nfile /etc/hostname \n"),
    ),
    "video: nonsense behind a start code": (
        "decode_failed",
        lambda: coded(uid.HEVCMP51, b"\0\0\0\1" + b"\x40\1nonsense" * 50),
    ),
}
"""What is sent, and the reason it ends with; what is really large may take the memory as well."""


@pytest.mark.parametrize("name", OBJECTS)
def test_one_object_ends_and_the_next_is_served(tmp_path, crop, sound, name):  # noqa: F811
    reason, made = OBJECTS[name]
    outcome, kept = crop.crop(saved(tmp_path, made()), 16)
    assert (outcome.status, kept) == ("quarantined", None)
    assert outcome.reason == reason or (outcome.reason == "decoder_died" and "8000" in name)
    assert crop.crop(sound, 16)[0].status == "cropped"


def test_video_comes_back_exactly(tmp_path, crop):
    ds, clip = video()
    outcome, kept = crop.crop(saved(tmp_path, ds), 4)
    assert (outcome.status, kept.frame_numbers) == ("cropped", (1, 3, 5))
    mask = mask_of(outcome.keep, ROWS, COLUMNS)
    for index, number in enumerate(kept.frame_numbers):
        for channel in range(3):
            assert np.array_equal(full_frame(kept, index)[..., channel], np.where(mask, clip[number - 1], 0))


def test_what_is_too_much_to_hold_is_decoded_again(tmp_path, monkeypatch):
    from dicom_ai.crop import child, examine

    ds, _ = video()
    path = saved(tmp_path, ds)
    outcome, held = child.crop(path, Asked(4))
    monkeypatch.setattr(examine, "HELD_BYTES", 0)
    again, decoded = child.crop(path, Asked(4))
    assert outcome == again
    assert np.array_equal(held.frames, decoded.frames)


def bomb(tmp_path, pixels_mib=0, private_mib=0, name="bomb.dcm", **changes):
    """A deflated file with zeros as pixels, or as a value before most of the header."""
    ds = instance(screens()[0], **changes)
    del ds.PixelData
    if private_mib:
        for keyword in ("SequenceOfUltrasoundRegions", "Rows", "Columns", "StudyInstanceUID", "SeriesInstanceUID"):
            delattr(ds, keyword)
    content = saved(tmp_path, ds, name).read_bytes()
    content += element(0x00210010 if private_mib else 0x7FE00010, b"OB", (pixels_mib or private_mib) * MIB)
    (tmp_path / name).write_bytes(deflated(content, pixels_mib or private_mib))
    return tmp_path / name


def test_deflated_objects(tmp_path, crop, sound):  # noqa: F811
    (tmp_path / "good.dcm").write_bytes(deflated(sound.read_bytes()))
    outcome, kept = crop.crop(tmp_path / "good.dcm", 16)
    plain, expected = crop.crop(sound, 16)
    assert outcome == plain
    assert np.array_equal(kept.frames, expected.frames)
    with cropper() as off:
        assert off.crop(tmp_path / "good.dcm", 16)[0].reason == "unsupported_syntax"


def test_deflate_bombs(tmp_path, crop, sound):  # noqa: F811
    path = bomb(tmp_path, private_mib=600)
    assert path.stat().st_size < MIB
    outcome, _ = crop.crop(path, 16)
    assert (outcome.status, outcome.reason) == ("quarantined", "decode_failed")
    (child,) = children_of(os.getpid())
    peak = int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{child}/status").read_text())[1])
    assert peak < 600 * 1024, "unfolding it would have taken more"
    assert crop.crop(sound, 16)[0].status == "cropped"
    assert children_of(os.getpid()) == [child], "it did not even cost the child"


def test_an_announced_value_of_gigabytes_takes_no_memory(tmp_path, crop):
    ds = instance(screens()[0])
    del ds.PixelData
    path = saved(tmp_path, ds)
    with path.open("ab") as file:
        file.write(element(0x6FFF0010, b"OB", 0xFFFF_FFF0) + b"\0" * 20)
    assert crop.crop(path, 16)[0].reason != "decoder_died"


def hanging(tmp_path, name):
    """A file that is never read to its end: a pipe nobody writes to."""
    os.mkfifo(tmp_path / name)
    return tmp_path / name


def test_honest_but_slow_ends_by_the_clock(tmp_path):
    # two gigabytes unfolded, the pixels of a clip that its header describes truly
    slow = bomb(tmp_path, pixels_mib=1900, Rows=1000, Columns=1000, NumberOfFrames=1900)
    with cropper(timeout_s=0.3, policy=Policy(deflated=True)) as crop:
        assert crop.crop(slow, 16)[0].reason == "decode_timeout"


def test_what_hangs_does_not_starve_the_others(tmp_path, sound):  # noqa: F811
    paths = [hanging(tmp_path, f"{number}.dcm") for number in range(2)]
    with cropper(children=2, timeout_s=2.5) as crop, ThreadPoolExecutor(8) as pool:
        begin = time.monotonic()
        bad = [pool.submit(crop.crop, path, 16) for path in paths]
        time.sleep(0.2)  # both places are taken now
        good = [pool.submit(crop.crop, sound, 16) for _ in range(6)]
        assert [answer.result()[0].reason for answer in bad] == ["decode_timeout"] * 2
        assert [answer.result()[0].status for answer in good] == ["cropped"] * 6
        assert time.monotonic() - begin < 2.5 + 25, "one clock, and the start of two children on a busy machine"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGKILL])
def test_crash_of_every_attempt_is_one_quarantined_object(tmp_path, sound, number):  # noqa: F811
    path, others = hanging(tmp_path, "pipe.dcm"), set(children_of(os.getpid()))
    with cropper() as crop, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(crop.crop, path, 16)
        while not answer.done():
            for child in set(children_of(os.getpid())) - others:
                os.kill(child, number)
            time.sleep(0.01)
        assert answer.result()[0].reason == "decoder_died"
        begin = time.monotonic()
        assert crop.crop(sound, 16)[0].status == "cropped"
        assert time.monotonic() - begin < 10


def test_nothing_is_left_behind(tmp_path, monkeypatch, sound):  # noqa: F811
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))  # if a core can be written at all, it would be
    shared, others = set(Path("/dev/shm").iterdir()), set(children_of(os.getpid()))
    bad = [saved(tmp_path, OBJECTS[name][1](), f"{at}.dcm") for at, name in enumerate(OBJECTS) if "8000" in name]
    bad += [hanging(tmp_path, "pipe.dcm"), saved(tmp_path, video(damaged=True)[0], "video.dcm")]
    with cropper(memory_mib=768, timeout_s=2.0) as crop:
        for path in bad:
            assert crop.crop(path, 16)[0].status == "quarantined"
        crop.crop(sound, 16)
        (child,) = set(children_of(os.getpid())) - others
        os.kill(child, signal.SIGSEGV)
        wait_until(lambda: child not in children_of(os.getpid()))
    assert set(children_of(os.getpid())) <= others
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert set(Path("/dev/shm").iterdir()) <= shared


def test_the_child_says_nothing_of_an_object(tmp_path):
    ds, _ = video(damaged=True)
    ds.PatientName = "CANARY^IDENTITY"
    with cropper() as crop:
        outcome, _ = crop.crop(saved(tmp_path, ds), 16)
    assert outcome.row() == {
        "status": "quarantined", "reason": "decode_failed", "rows": ROWS, "columns": COLUMNS, "frames": 6, "keep": [],
        "blanked": [], "box": None, "votes": {"regions": None, "layout": None, "support": None},
    }  # fmt: skip
