"""Pictures and clips of a folder (png, jpg, mp4) -> frames: decoded by named decoders, black ones dropped.

A clip is read twice, so that a long one never lies in memory whole. What this is not: the crop (`folder_crop`).
"""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dicom_ai.crop.frames import LARGEST_FRAME
from dicom_ai.crop.video import CAPTURE_OPTIONS
from dicom_ai.kept import sampled_frames

Rgb = npt.NDArray[np.uint8]

STILLS = (".png", ".jpg", ".jpeg")
CLIPS = (".mp4",)

BLACK = 3.0
"""Mean grey level under which a frame is black: the probe was lifted, or the recording had not begun."""

_FORMATS = ("PNG", "JPEG")
_MODES = ("L", "LA", "P", "RGB", "RGBA", "1", "CMYK", "YCbCr")  # 8 bits; 16 would lose levels unseen
_OPENING = (
    cv2.CAP_PROP_N_THREADS, 1,
    cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_NONE,
)  # fmt: skip


class UnreadablePicture(Exception):
    """Nothing can be decoded; its argument is the reason, never a name."""


@dataclass(frozen=True)
class Frames:
    """What is left of one still or clip.

    Attributes:
        frames: uint8 (H, W, 3) RGB each; those of one clip may differ in size.
        black: how many were dropped.
    """

    frames: tuple[Rgb, ...]
    black: int


def is_picture(path: Path) -> bool:
    """Whether it is read here, by its name."""
    return path.suffix.lower() in (*STILLS, *CLIPS)


def read_frames(paths: Sequence[Path], limit: int) -> Frames:
    """Decode the files of one still or clip, in order; drop black frames; take every stride-th of the rest.

    Args:
        paths: stills, or one video.
        limit: most frames, >= 1; chosen as `kept.sampled_frames` does.

    Raises:
        UnreadablePicture: "unreadable", "frame_count" or "frame_size".
        OSError: a file cannot be opened.
    """
    if not all(map(is_picture, paths)) or (len(paths) > 1 and any(path.suffix.lower() in CLIPS for path in paths)):
        raise UnreadablePicture("unreadable")
    means = [_grey_mean(frame) for frame in _decoded(paths)]
    lit = [number for number, mean in enumerate(means) if mean >= BLACK]
    if not lit:
        return Frames((), len(means))
    wanted = {lit[at - 1] for at in sampled_frames(len(lit), limit)}
    frames = tuple(frame for number, frame in enumerate(_decoded(paths)) if number in wanted)
    return Frames(frames, len(means) - len(lit))


def _decoded(paths: Sequence[Path]) -> Iterator[Rgb]:
    if paths[0].suffix.lower() in CLIPS:
        yield from _of_video(paths[0])
    else:
        yield from map(_of_still, paths)


def _grey_mean(frame: Rgb) -> float:
    return float(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).mean())


def _of_still(path: Path) -> Rgb:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height * 3 > LARGEST_FRAME or image.mode not in _MODES:
                raise UnreadablePicture("frame_size" if image.mode in _MODES else "unreadable")
            return np.asarray(image.convert("RGB"), np.uint8)
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as exc:
        raise UnreadablePicture("unreadable") from exc
    except OSError as exc:
        if exc.errno is not None:  # the disk's; what is damaged has none
            raise
        raise UnreadablePicture("unreadable") from exc


def _of_video(path: Path) -> Iterator[Rgb]:
    """Every frame in order."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = CAPTURE_OPTIONS  # no play list opens another file or an address
    capture = cv2.VideoCapture()
    with path.open("rb") as file:
        stream = io.BufferedReader(file, 1 << 16)
        try:
            if not capture.open(stream, cv2.CAP_FFMPEG, _OPENING):  # type: ignore[call-overload] # will do
                raise UnreadablePicture("unreadable")
            announced, seen = round(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0
            while capture.grab():
                seen += 1
                yield _retrieved(capture)
            if not seen or (announced > 0 and abs(seen - announced) > 1):
                raise UnreadablePicture("frame_count")
        except cv2.error as exc:
            raise UnreadablePicture("unreadable") from exc
        finally:
            capture.release()


def _retrieved(capture: cv2.VideoCapture) -> Rgb:
    is_there, bgr = capture.retrieve()
    if not is_there or bgr.ndim != 3 or bgr.size > LARGEST_FRAME:
        raise UnreadablePicture("unreadable")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
