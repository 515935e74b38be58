"""Milliseconds to decode one frame in each syntax: known, so that a slow clip surprises nobody. No bar."""

import io
import statistics
import time

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from dicom_ai.crop.frames import frames_of
from tests.pixels import described, jpeg
from tests.unit.test_crop_frames_coded import by_gdcm
from tests.videos import Signal, h264, hevc

pytestmark = [pytest.mark.verify, pytest.mark.benchmark, pytest.mark.timeout(900)]

STILL, CLIP = (873, 1164), (802, 1054)  # LOGIQ E9
FRAMES, REPEATS = 12, 9


def screens(size, count):
    """Speckle in a sector on black, grey: what a codec finds hard, where an ultrasound screen has it."""
    random = np.random.default_rng(1)
    rows, columns = size
    ys, xs = np.mgrid[:rows, :columns]
    radius, angle = np.hypot(xs - columns / 2, ys - 40), np.arctan2(xs - columns / 2, ys - 40)
    sector = (radius > 80) & (radius < rows - 120) & (np.abs(angle) < 0.6)
    speckle = (cv2.GaussianBlur(random.rayleigh(60, size).astype(np.float32), (0, 0), 1.2) for _ in range(count))
    return [np.where(sector, one.clip(0, 255), 0).astype(np.uint8) for one in speckle]


def colour(frame):
    return np.repeat(frame[..., None], 3, axis=2)


def stills(folder):
    (grey,) = screens(STILL, 1)
    rgb, shape = colour(grey), {"Rows": STILL[0], "Columns": STILL[1]}

    def j2k(irreversible):
        file = io.BytesIO()
        how = {"quality_mode": "rates", "quality_layers": [10]} if irreversible else {}
        Image.fromarray(rgb).save(file, "JPEG2000", no_jp2=True, mct=1, irreversible=irreversible, **how)
        return encapsulate([file.getvalue()])

    plain = described(rgb.tobytes(), "RGB", **shape)
    yield "uncompressed RGB", plain
    rle = described(rgb.tobytes(), "RGB", **shape)
    rle.compress(uid.RLELossless, encoding_plugin="pydicom")
    yield "RLE RGB", rle
    yield "JPEG Baseline RGB", described(encapsulate([jpeg(rgb)]), "YBR_FULL", uid.JPEGBaseline8Bit, **shape)
    for syntax, name in ((uid.JPEGLosslessSV1, "JPEG Lossless"), (uid.JPEGLSLossless, "JPEG-LS")):
        yield f"{name} RGB", by_gdcm(described(rgb.tobytes(), "RGB", **shape), syntax, folder)
    yield "JPEG 2000 lossless RGB", described(j2k(False), "YBR_RCT", uid.JPEG2000Lossless, **shape)
    yield "JPEG 2000 10:1 RGB", described(j2k(True), "YBR_ICT", uid.JPEG2000, **shape)


def clips(folder):
    frames = screens(CLIP, FRAMES)
    rows, columns = CLIP
    shape = {"Rows": rows, "Columns": columns, "NumberOfFrames": FRAMES}
    pictures = [encapsulate([jpeg(colour(frame)) for frame in frames])]
    yield "JPEG Baseline clip", described(pictures[0], "YBR_FULL_422", uid.JPEGBaseline8Bit, **shape)
    writer = cv2.VideoWriter(
        str(folder / "a.m2v"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mpg2"), 25, (columns, rows)
    )
    for frame in frames:
        writer.write(colour(frame))
    writer.release()
    yield "MPEG-2", described(encapsulate([(folder / "a.m2v").read_bytes()]), "YBR_PARTIAL_420", uid.MPEG2MPML, **shape)
    half = np.full((rows // 2, columns // 2), 128, np.uint8)
    planes = [(frame, half, half) for frame in frames]
    for name, encode, syntax in (("H.264", h264, uid.MPEG4HP41), ("HEVC", hevc, uid.HEVCMP51)):
        stream = encapsulate([encode(planes, Signal(is_full=True))])
        yield f"{name}, stored blocks", described(stream, "YBR_PARTIAL_420", syntax, **shape)


def milliseconds(ds, frames):
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        decoded = frames_of(ds, range(1, frames + 1))
        taken.append((time.perf_counter() - begin) * 1000 / frames)
        assert decoded.any()
    return f"{statistics.median(taken):.1f} ms ({min(taken):.1f} to {max(taken):.1f}, {REPEATS} runs)"


def test_milliseconds_for_one_frame(tmp_path, figure):
    for name, ds in stills(tmp_path):
        figure(f"decode one frame, {name}, {STILL[0]} x {STILL[1]}", milliseconds(ds, 1), "none")
    for name, ds in clips(tmp_path):
        figure(f"decode one frame, {name}, {CLIP[0]} x {CLIP[1]}", milliseconds(ds, FRAMES), "none")
