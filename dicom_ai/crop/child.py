"""The decoding child: one process that reads objects, decides and crops, so that only kept pixels leave it.

    python -m dicom_ai.crop.child MEMORY_MIB [POLICY]

POLICY is the JSON of `policy.Policy`. It says {"ready": true} once. Requests are JSON lines on stdin,
{"path", "frame_limit", "layouts"}; the layouts are those that people approved. Every answer on stdout is one
JSON line {"outcome", "shape", "frame_numbers", "bytes"} followed by that many raw bytes (uint8 T, h, w, C). A request
with "picture", {"language", "is_whole"}, is answered by {"outcome", "seen", "bytes"} and a PNG of the votes. The
process has a limit on its address space, writes no file, leaves no core, and ends with its parent. What this is not: a
place for models; a decoder crashing on a hostile object must not take the device with it, so torch is never imported.
"""

import ctypes
import io
import json
import os
import re
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.examine import Asked, examine
from dicom_ai.crop.picture import Language, picture
from dicom_ai.crop.policy import Policy
from dicom_ai.crop.seen import seen
from dicom_ai.crop.strict import pixel_bytes, pixels_in
from dicom_ai.crop.video import CAPTURE_OPTIONS
from dicom_ai.errors import InputError, UnreadableInstance, UnsupportedPixels
from dicom_ai.inflate import is_deflated, open_deflated
from dicom_ai.instance import Instance
from dicom_ai.kept import CropOutcome, Kept

_COMPLAINT = re.compile(rb"^\[(?:h264|hevc|mpeg[12]video) @ ", re.MULTILINE)
"""A line that FFmpeg's decoders print where a picture is damaged; they conceal the damage and go on."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_FOREIGN = (
    InvalidDicomError, ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError, OSError,
    EOFError, RecursionError, struct.error, AssertionError,
)  # fmt: skip
"""What pydicom raises on bytes that are no data set."""


def _hears_nothing() -> bool:
    return False


class Ear:
    """Listens to what codecs print on standard error, which is the only place where FFmpeg tells of damage."""

    def __init__(self) -> None:
        """Take the place of standard error; nothing printed leaves the process, as it may quote elements."""
        self._end, begin = os.pipe()
        for end in (self._end, begin):
            os.set_blocking(end, False)
        os.dup2(begin, 2)
        os.close(begin)

    def heard(self) -> bool:
        """Whether a video decoder complained since the last time."""
        said = b""
        try:
            while some := os.read(self._end, 1 << 16):
                said += some
        except BlockingIOError:
            pass
        return _COMPLAINT.search(said) is not None


def crop(path: Path, asked: Asked, heard: Callable[[], bool] = _hears_nothing) -> tuple[CropOutcome, Kept | None]:
    """Read one DICOM file, decide and crop.

    Args:
        path: of a DICOM file with preamble and file meta information.
        asked: how many frames, under which policy, with which approved layouts.
        heard: whether a video decoder complained since it was last asked.

    Returns:
        The outcome, and the kept pixels when its status is "cropped".
    """
    instance = None
    try:
        with path.open("rb", buffering=0) as file:
            ds = _read(_WithinFile(file), deflated=asked.policy.deflated)
            instance = _instance(ds)
            return examine(ds, instance, asked, heard)
    except MemoryError:
        return _refused("decoder_died", instance), None
    except OSError:
        return _refused("unreadable", instance), None
    except InputError as error:
        return _refused(error.reason or "unreadable", instance), None


def show(
    path: Path, asked: Asked, *, language: Language, is_whole: bool, heard: Callable[[], bool] = _hears_nothing
) -> tuple[CropOutcome, dict[str, Any] | None, bytes]:
    """Read one DICOM file and draw what each witness says of it.

    Args:
        path: of a DICOM file with preamble and file meta information.
        asked: as for `crop`.
        language: of the legend.
        is_whole: show the whole screen, identity included.
        heard: as for `crop`.

    Returns:
        The outcome, the shapes as small JSON and a PNG; None and no bytes when the pixels cannot be shown.
    """
    outcome, _ = crop(path, asked, heard)
    try:
        with path.open("rb", buffering=0) as file:
            ds = _read(_WithinFile(file), deflated=asked.policy.deflated)
            found = seen(ds, _instance(ds), asked.layouts, heard)
            return outcome, found.row(), picture(found, outcome, language=language, is_whole=is_whole)
    except (InputError, OSError, MemoryError):
        return outcome, None, b""


class _WithinFile(io.BufferedReader):
    """Reads no more at once than the file has: a header may announce a value of gigabytes in a file of some bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > 1 << 20:
            size = max(0, min(size, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def _refused(reason: str, instance: Instance | None) -> CropOutcome:
    status = "failed" if reason == "unreadable" else "quarantined"
    if instance is None:
        return CropOutcome(status, reason, 0, 0, 0)
    return CropOutcome(status, reason, instance.rows, instance.columns, instance.frames)


def _instance(ds: Dataset) -> Instance:
    try:
        return Instance.of(ds, ds.file_meta.TransferSyntaxUID)
    except _FOREIGN as exc:
        raise UnreadableInstance(type(exc).__name__) from exc


def _read(stream: BinaryIO, *, deflated: bool) -> Dataset:
    """A data set whose PixelData is a part of the open file, so that a long clip is read frame by frame."""
    try:
        if not is_deflated(stream):
            where = pixel_bytes(stream)
            stream.seek(0)
            ds: Dataset = dcmread(stream, stop_before_pixels=True)
        elif deflated:
            ds, stream = open_deflated(stream)
            where = pixel_bytes(stream, ds.file_meta.TransferSyntaxUID)
        else:
            raise UnsupportedPixels(reason="unsupported_syntax")
        if where is not None:
            ds.add_new(0x7FE00010, where.vr or "OW", pixels_in(stream, where))
    except _FOREIGN as exc:
        raise UnreadableInstance(type(exc).__name__) from exc
    return ds


def _answer(out: BinaryIO, outcome: CropOutcome, pixels: Kept | None) -> None:
    header: dict[str, Any] = {"outcome": outcome.row(), "shape": [], "frame_numbers": [], "bytes": 0}
    if pixels is not None:
        header |= {
            "shape": pixels.frames.shape, "frame_numbers": pixels.frame_numbers, "bytes": pixels.frames.nbytes,
        }  # fmt: skip
    out.write(json.dumps(header).encode() + b"\n")
    if pixels is not None:
        out.write(np.ascontiguousarray(pixels.frames).data)
    out.flush()


def _answer_shown(out: BinaryIO, outcome: CropOutcome, shapes: dict[str, Any] | None, png: bytes) -> None:
    header = {"outcome": outcome.row(), "seen": shapes, "bytes": len(png)}
    out.write(json.dumps(header).encode() + b"\n" + png)
    out.flush()


def _confine(memory_mib: int) -> None:
    """Limit this process; the libraries are loaded by now and count towards the limit."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the parent says when it is over, or dies
        signal.signal(number, signal.SIG_IGN)
    limit = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = CAPTURE_OPTIONS
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")  # warnings quote element values


def main(memory_mib: int, policy: Policy) -> None:
    """Answer requests until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a codec prints must not mix with the answers
    ear = Ear()
    _confine(memory_mib)
    out.write(b'{"ready": true}\n')
    out.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        layouts = tuple(Layout.of(row) for row in request["layouts"])
        asked = Asked(int(request["frame_limit"]), policy, layouts)
        if "picture" in request:
            _answer_shown(out, *show(Path(request["path"]), asked, **request["picture"], heard=ear.heard))
        else:
            _answer(out, *crop(Path(request["path"]), asked, ear.heard))


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 1536,
        Policy(**json.loads(sys.argv[2])) if len(sys.argv) > 2 else Policy(),
    )
