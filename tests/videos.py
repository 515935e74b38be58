"""Tiny video streams written by hand, so that every sample is known: H.264 and HEVC whose blocks are stored (PCM).

Nothing is predicted and nothing is lost: the decoder must give back the very samples that went in. MPEG-2 has no such
mode; OpenCV's own encoder writes it. What this is not: an encoder one would use.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Y (H, W), Cb and Cr (H/2, W/2): 4:2:0."""


@dataclass(frozen=True)
class Signal:
    """What the stream says of its colours (ITU-T H.273): matrix 1 BT.709, 5 and 6 BT.601; None: it says nothing."""

    matrix: int | None = None
    is_full: bool = False


SILENT = Signal()


class Bits:
    """Most significant bit first."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def u(self, size: int, value: int) -> "Bits":
        if size:
            self.text.append(f"{value:0{size}b}")
        return self

    def ue(self, *values: int) -> "Bits":
        for value in values:
            size = (value + 1).bit_length()
            self.u(2 * size - 1, value + 1)
        return self

    def flags(self, bits: str) -> "Bits":
        self.text.append(bits.replace(" ", ""))
        return self

    def align(self, first: str = "0") -> "Bits":
        """Fill up to whole bytes: `first`, then zeros."""
        missing = -len("".join(self.text)) % 8
        if missing or first == "1":
            missing = missing or 8
            self.text.append(first + "0" * (missing - 1))
        return self

    def done(self) -> bytes:
        joined = "".join(self.text)
        return int(joined, 2).to_bytes(len(joined) // 8, "big")


def nal(header: bytes, payload: bytes) -> bytes:
    """A unit with its start code; a byte 3 breaks up what would look like one (emulation prevention)."""
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + header + bytes(out)


def _vui_signal(bits: Bits, signal: Signal) -> None:
    """aspect_ratio 0, overscan 0, video_signal_type."""
    bits.flags("00 1 101").u(1, signal.is_full).u(1, signal.matrix is not None)
    if signal.matrix is not None:
        bits.u(8, 2).u(8, 2).u(8, signal.matrix)  # primaries and transfer are not said


def _padded(plane: np.ndarray, block: int) -> np.ndarray:
    rows, columns = plane.shape
    return np.pad(plane, ((0, -rows % block), (0, -columns % block)), mode="edge")


def _blocks(planes: Planes, size: int) -> Iterator[bytes]:
    """The stored samples of each block of `size` luma pixels, in raster order."""
    y, cb, cr = _padded(planes[0], size), _padded(planes[1], size // 2), _padded(planes[2], size // 2)
    half = size // 2
    for row in range(y.shape[0] // size):
        for column in range(y.shape[1] // size):
            parts = [y[row * size :, column * size :][:size, :size]]
            parts += [plane[row * half :, column * half :][:half, :half] for plane in (cb, cr)]
            yield b"".join(part.tobytes() for part in parts)


def h264(frames: Sequence[Planes], signal: Signal = SILENT) -> bytes:
    """High Profile, level 4.1, every picture an IDR picture of I_PCM macroblocks (ITU-T H.264 7.3)."""
    rows, columns = frames[0][0].shape
    across, down = -(-columns // 16), -(-rows // 16)
    sps = Bits().u(8, 100).u(8, 0).u(8, 41).ue(0, 1, 0, 0).flags("00").ue(0, 2, 1).u(1, 0).ue(across - 1, down - 1)
    sps.flags("11 1").ue(0, (16 * across - columns) // 2, 0, (16 * down - rows) // 2).u(1, 1)
    _vui_signal(sps, signal)
    sps.flags("00000 0").align("1")
    pps = Bits().ue(0, 0).flags("00").ue(0, 0, 0).flags("000").ue(0, 0, 0).flags("100").align("1")
    out = nal(b"\x67", sps.done()) + nal(b"\x68", pps.done())
    for number, planes in enumerate(frames):
        head = Bits().ue(0, 7, 0).u(4, 0).ue(number % 2).flags("00").ue(0, 1)
        payload = b""
        for block in _blocks(planes, 16):
            payload += (head.ue(25).align().done()) + block
            head = Bits()
        out += nal(b"\x65", payload + b"\x80")
    return out


_LPS = np.array([
    128, 176, 208, 240, 128, 167, 197, 227, 128, 158, 187, 216, 123, 150, 178, 205, 116, 142, 169, 195, 111, 135, 160,
    185, 105, 128, 152, 175, 100, 122, 144, 166, 95, 116, 137, 158, 90, 110, 130, 150, 85, 104, 123, 142, 81, 99, 117,
    135, 77, 94, 111, 128, 73, 89, 105, 122, 69, 85, 100, 116, 66, 80, 95, 110, 62, 76, 90, 104, 59, 72, 86, 99, 56,
    69, 81, 94, 53, 65, 77, 89, 51, 62, 73, 85, 48, 59, 69, 80, 46, 56, 66, 76, 43, 53, 63, 72, 41, 50, 59, 69, 39,
    48, 56, 65, 37, 45, 54, 62, 35, 43, 51, 59, 33, 41, 48, 56, 32, 39, 46, 53, 30, 37, 43, 50, 29, 35, 41, 48, 27,
    33, 39, 45, 26, 31, 37, 43, 24, 30, 35, 41, 23, 28, 33, 39, 22, 27, 32, 37, 21, 26, 30, 35, 20, 24, 29, 33, 19,
    23, 27, 31, 18, 22, 26, 30, 17, 21, 25, 28, 16, 20, 23, 27, 15, 19, 22, 25, 14, 18, 21, 24, 14, 17, 20, 23, 13,
    16, 19, 22, 12, 15, 18, 21, 12, 14, 17, 20, 11, 14, 16, 19, 11, 13, 15, 18, 10, 12, 15, 17, 10, 12, 14, 16, 9, 11,
    13, 15, 9, 11, 12, 14, 8, 10, 12, 14, 8, 9, 11, 13, 7, 9, 11, 12, 7, 9, 10, 12, 7, 8, 10, 11, 6, 8, 9, 11, 6, 7,
    9, 10, 6, 7, 8, 9,
]).reshape(63, 4)  # fmt: skip
"""Range of the less probable symbol by state and range (ITU-T H.265 Table 9-52)."""


class Cabac:
    """The arithmetic coder for the one flag that is coded with a context, always the more probable value, and for ends.

    ITU-T H.265 9.3.4.
    """

    def __init__(self, state: int) -> None:
        self.state, self.bits = state, Bits()
        self._restart()

    def _restart(self) -> None:
        self._low, self._range, self._is_first, self._outstanding = 0, 510, True, 0

    def _put(self, bit: int) -> None:
        if not self._is_first:
            self.bits.u(1, bit)
        self._is_first = False
        self.bits.flags(str(1 - bit) * self._outstanding)
        self._outstanding = 0

    def _renormalise(self) -> None:
        while self._range < 256:
            if self._low < 256:
                self._put(0)
            elif self._low >= 512:
                self._low -= 512
                self._put(1)
            else:
                self._low -= 256
                self._outstanding += 1
            self._range, self._low = self._range << 1, self._low << 1

    def likely(self) -> None:
        self._range -= int(_LPS[self.state][(self._range >> 6) & 3])
        self.state = min(self.state + 1, 62)
        self._renormalise()

    def ends(self, yes: bool) -> None:
        """A flag that ends the coding when it is 1; then whole bytes follow."""
        self._range -= 2
        if yes:
            self._low += self._range
            self._range = 2
        self._renormalise()
        if yes:
            self._put((self._low >> 9) & 1)
            self.bits.u(2, ((self._low >> 7) & 3) | 1).align()
            self._restart()

    def take(self) -> bytes:
        done, self.bits = self.bits.done(), Bits()
        return done


def _profile(bits: Bits, depth: int) -> Bits:
    is_main = depth == 8
    bits.u(3, 0).u(5, 1 if is_main else 2).u(32, 0x60000000 if is_main else 0x20000000)
    return bits.flags("1001").u(44, 0).u(8, 153)


def hevc(frames: Sequence[Planes], signal: Signal = SILENT, depth: int = 8) -> bytes:
    """Main (8 bits) or Main 10 Profile, level 5.1, every picture an IDR picture of 16 x 16 PCM blocks (ITU-T H.265).

    Samples of 10 bits come as uint16.
    """
    rows, columns = frames[0][0].shape
    high, wide = rows + -rows % 16, columns + -columns % 16
    vps = _profile(Bits().flags("0000 11").u(6, 0).u(3, 0).u(1, 1).u(16, 0xFFFF), depth)
    vps.u(1, 1).ue(0, 0, 0).u(6, 0).ue(0).flags("00").align("1")
    sps = _profile(Bits().u(4, 0).u(3, 0).u(1, 1), depth).ue(0, 1, wide, high).u(1, 1)
    sps.ue(0, (wide - columns) // 2, 0, (high - rows) // 2).ue(depth - 8, depth - 8, 4).u(1, 1).ue(0, 0, 0)
    sps.ue(1, 0, 0, 2, 0, 0).flags("0001").u(4, depth - 1).u(4, depth - 1).ue(1, 0).u(1, 1).ue(0).flags("000 1")
    _vui_signal(sps, signal)
    sps.flags("0 000 0 0 0 0").align("1")
    pps = Bits().ue(0, 0).flags("00 000 00").ue(0, 0, 0).flags("000").ue(0, 0).flags("0 0000 0 0 1 0 1 0 0").ue(0)
    pps.flags("00").align("1")
    out = nal(b"\x40\x01", vps.done()) + nal(b"\x42\x01", sps.done()) + nal(b"\x44\x01", pps.done())
    for planes in frames:
        head = Bits().flags("10").ue(0, 2, 0).align("1").done()
        cabac, body = Cabac(0), [head]
        blocks = [_packed(block, depth) for block in _blocks(planes, 16)]
        for number, block in enumerate(blocks):
            cabac.likely()  # part_mode: one part
            cabac.ends(True)  # pcm_flag
            body += [cabac.take(), block]
            cabac.ends(number == len(blocks) - 1)  # end_of_slice_segment_flag
        out += nal(b"\x26\x01", b"".join([*body, cabac.take()]))
    return out


def _packed(block: bytes, depth: int) -> bytes:
    if depth == 8:
        return block
    return Bits().flags("".join(f"{value:0{depth}b}" for value in np.frombuffer(block, np.uint16))).align().done()


def contained(path: Path, codec: str, units: Sequence[bytes], size: tuple[int, int]) -> bytes:
    """Pictures (one coded picture each) in MP4 or a transport stream, by the suffix of the path."""
    code = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 25, size, [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1])
    for unit in units:
        writer.write(np.frombuffer(unit, np.uint8))
    writer.release()
    return path.read_bytes()


def mpeg2(path: Path, greys: Sequence[int], size: tuple[int, int]) -> bytes:
    """Flat grey pictures as MPEG-2: .m2v elementary, .ts transport, .mpg program stream (which holds MPEG-1 there)."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mpg2"), 25, size)
    for grey in greys:
        writer.write(np.full((size[1], size[0], 3), grey, np.uint8))
    writer.release()
    return path.read_bytes()
