"""MPEG-2, H.264 and HEVC to RGB frames by the FFmpeg inside OpenCV (LGPL), one frame in memory at a time.

The stream is read where it lies, through a file object; nothing is written. Seeking is decoding on: every frame up to
the last is decoded once, and the stream must hold as many as the header says. Colour: the matrix and the range are
those the stream states (BT.601, BT.709, BT.2020; video or full range); a stream that states none is BT.601 in video
range, as YBR_PARTIAL_420 is defined (PS3.3 C.7.6.3.1.2); the header is not asked. Against the exact equations grey of
full range is exact, of video range within 1 level, colours within 2, samples of 10 bits within 3.
What this is not: a player; sound, subtitles and rotation are ignored.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import cv2
from pydicom.encaps import parse_basic_offsets, parse_fragments

from dicom_ai.crop.colour import Frame
from dicom_ai.errors import UnsupportedPixels
from dicom_ai.seekable import Seekable

CAPTURE_OPTIONS = (
    "format_whitelist;h264,hevc,mpegvideo,mpeg,mpegts,mov|"
    "codec_whitelist;h264,hevc,mpeg2video,mpeg1video|"
    "protocol_whitelist;none"
)
"""For the environment variable OPENCV_FFMPEG_CAPTURE_OPTIONS: no play list opens a file or an address, and no decoder
but those of the accepted syntaxes is ever fed."""

_OPENING = (
    cv2.CAP_PROP_N_THREADS, 1,
    cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_NONE,
)  # fmt: skip


class _Fragments(Seekable):
    """The fragments of encapsulated Pixel Data as one seekable stream (PS3.5 A.4: a video may be cut anywhere)."""

    def __init__(self, pixels: BinaryIO) -> None:
        super().__init__()
        parse_basic_offsets(pixels)
        self._source = pixels
        self._parts: list[tuple[int, int, int]] = []  # where it begins in the stream, in the source, its length
        self.size = 0
        for offset in parse_fragments(pixels)[1]:
            pixels.seek(offset + 4)
            length = int.from_bytes(pixels.read(4), "little")
            self._parts.append((self.size, offset + 8, length))
            self.size += length

    def end(self) -> int:
        return self.size

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer)
        done = 0
        for begin, offset, length in self._parts:
            if begin <= self.at < begin + length and done < len(room):
                into = self.at - begin
                self._source.seek(offset + into)
                some = self._source.read(min(len(room) - done, length - into))
                room[done : done + len(some)] = some
                done += len(some)
                self.at += len(some)
        return done


def frames(pixels: BinaryIO, indices: Sequence[int], size: tuple[int, int], count: int) -> Iterator[Frame]:
    """Decode the stream and give the wanted frames.

    Args:
        pixels: open at the first byte of encapsulated Pixel Data.
        indices: zero-based, ascending.
        size: columns and rows the header announces.
        count: frames the header announces.

    Yields:
        uint8 (H, W, 3) RGB.

    Raises:
        UnsupportedPixels: no such stream; reason "frame_count" or "pixel_length" for another number of frames or
            another size than announced; the number is known only behind the last frame.
    """
    stream = io.BufferedReader(_Fragments(pixels), 1 << 16)
    if not _is_video(stream.peek(8 + 188)):
        raise UnsupportedPixels("no video stream")
    capture = cv2.VideoCapture()
    try:
        if not capture.open(stream, cv2.CAP_FFMPEG, _OPENING):  # type: ignore[call-overload] # a file object will do
            raise UnsupportedPixels("no video stream")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        wanted, seen = set(indices), 0
        while seen <= count and capture.grab():
            if seen in wanted:
                yield _retrieved(capture, size)
            seen += 1
        if seen != count:
            raise UnsupportedPixels("the stream holds another number of frames", reason="frame_count")
    finally:
        capture.release()  # it does not hold the stream, so the stream goes last


def _retrieved(capture: cv2.VideoCapture, size: tuple[int, int]) -> Frame:
    is_there, bgr = capture.retrieve()
    if not is_there or bgr.ndim != 3:
        raise UnsupportedPixels("no picture")
    if (bgr.shape[1], bgr.shape[0]) != size:
        raise UnsupportedPixels("frame size differs from the header", reason="pixel_length")
    rgb: Frame = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
    return rgb


def _is_video(start: bytes) -> bool:
    """An elementary or program stream (start code), a transport stream (0x47 every 188 bytes), or MP4 (ftyp)."""
    return (
        start[:3] == b"\0\0\1"
        or start[:4] == b"\0\0\0\1"
        or (start[:1] == b"\x47" and start[188:189] == b"\x47")
        or start[4:8] == b"ftyp"
    )
