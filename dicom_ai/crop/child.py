"""The decoding child: one process that reads objects, decides and crops, so that only kept pixels leave it.

    python -m dicom_ai.crop.child MEMORY_MIB

Requests are JSON lines on stdin, {"path", "frame_limit"}. Every answer on stdout is one JSON line {"outcome",
"shape", "frame_numbers", "bytes"} followed by that many raw bytes (uint8 T, h, w, C). The process has a limit on its
address space, writes no file, leaves no core, and ends with its parent. What this is not: a place for models; a
decoder crashing on a hostile object must not take the device with it, so torch is never imported here.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_ai.crop.decision import decide
from dicom_ai.crop.emit import kept
from dicom_ai.crop.frames import iter_frames
from dicom_ai.crop.region import region_vote
from dicom_ai.crop.support import Support, picture_support
from dicom_ai.errors import InputError, NotAnalysable, UnreadableInstance, UnsupportedPixels
from dicom_ai.instance import Instance
from dicom_ai.kept import CropOutcome, Kept, sampled_frames

LOOKED_AT = 24
"""Most frames of a clip in which the picture is looked for: enough to light every part of a moving picture."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_FOREIGN = (
    InvalidDicomError, ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError, OSError,
    EOFError, RecursionError, struct.error, AssertionError,
)  # fmt: skip
"""What pydicom raises on bytes that are no data set."""


def crop(path: Path, frame_limit: int) -> tuple[CropOutcome, Kept | None]:
    """Read one DICOM file, decide and crop.

    Args:
        path: of a DICOM file with preamble and file meta information.
        frame_limit: most frames to keep, >= 1.

    Returns:
        The outcome, and the kept pixels when its status is "cropped".
    """
    instance = None
    try:
        with path.open("rb") as stream:
            ds = _read(path, stream)
            instance = _instance(ds)
            return _crop(ds, instance, frame_limit)
    except OSError:
        return _refused("unreadable", instance), None
    except InputError as error:
        return _refused(error.reason or "unreadable", instance), None


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


def _read(path: Path, stream: BinaryIO) -> Dataset:
    """A data set whose PixelData is the open file, so that a long clip is read frame by frame."""
    try:
        if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            raise UnsupportedPixels(reason="unsupported_syntax")
        ds = dcmread(stream, stop_before_pixels=True)
        syntax = ds.file_meta.TransferSyntaxUID
        order = "<" if syntax.is_little_endian else ">"
        head = stream.read(8)
        if len(head) == 8 and Tag(*struct.unpack(f"{order}HH", head[:4])) == 0x7FE00010:
            if not syntax.is_implicit_VR:
                stream.read(4)
            ds.add_new(0x7FE00010, "OW" if syntax.is_implicit_VR else head[4:6].decode("ascii"), stream)
    except _FOREIGN as exc:
        raise UnreadableInstance(type(exc).__name__) from exc
    return ds


def _crop(ds: Dataset, instance: Instance, frame_limit: int) -> tuple[CropOutcome, Kept | None]:
    if instance.is_own_result:
        raise NotAnalysable(reason="own_result")
    if not instance.is_ultrasound:
        raise NotAnalysable(reason="not_ultrasound")
    if not instance.rows or not instance.columns or "PixelData" not in ds:
        raise UnsupportedPixels("no pixels")
    size = instance.rows, instance.columns
    vote = region_vote(ds)
    if vote.reason is not None:  # decided without decoding a pixel
        return decide(vote, None, size=size, frames=instance.frames), None
    support, single = _supports(ds, instance.frames)
    outcome = decide(vote, support, size=size, frames=instance.frames, single=single)
    if outcome.status != "cropped":
        return outcome, None
    numbers = sampled_frames(instance.frames, frame_limit)
    return outcome, kept(iter_frames(ds, numbers), numbers, outcome)


def _supports(ds: Dataset, frames: int) -> tuple[Support | None, list[Support | None]]:
    """The picture over time, and for a clip in its first, middle and last frame on their own."""
    numbers = sorted({round(at) for at in np.linspace(1, frames, LOOKED_AT)})
    on_their_own = {1, numbers[len(numbers) // 2], frames} if frames > 1 else set()
    brightest: npt.NDArray[np.uint8] | None = None
    single: list[Support | None] = []
    for number, grey in zip(numbers, _greys(ds, numbers), strict=True):
        brightest = grey if brightest is None else np.maximum(brightest, grey)
        if number in on_their_own:
            single.append(picture_support(grey))
    return (None if brightest is None else picture_support(brightest)), single


def _greys(ds: Dataset, numbers: list[int]) -> Iterator[npt.NDArray[np.uint8]]:
    return (np.ascontiguousarray(frame.max(axis=2)) for frame in iter_frames(ds, numbers))


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


def _confine(memory_mib: int) -> None:
    """Limit this process; the libraries are loaded by now and count towards the limit."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group; the parent says when it is over, or dies
        signal.signal(number, signal.SIG_IGN)
    limit = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore")  # warnings quote element values


def main(memory_mib: int) -> None:
    """Answer requests until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a codec prints must not mix with the answers
    _confine(memory_mib)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _answer(out, *crop(Path(request["path"]), int(request["frame_limit"])))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1536)
