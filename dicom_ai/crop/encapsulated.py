"""Encapsulated Pixel Data (PS3.5 A.4) as frames: which pieces of the stream belong to which frame, counted exactly.

The offset tables, the fragments and Number of Frames must all say the same; who guesses shows one frame under the
number of another. What this is not: a decoder; only the marks at the ends of a code stream are looked at.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.dataset import Dataset

from dicom_ai.errors import UnsupportedPixels

Piece = tuple[int, int]
"""Where the bytes of a fragment begin in the stream, and how many they are."""

_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"  # encapsulated syntaxes are little endian
_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51")  # SOI of JPEG and JPEG-LS; SOC and SIZ of JPEG 2000
_LAST = b"\xff\xd9"  # EOI, and EOC of JPEG 2000
_PADDING = 16
"""Bytes behind the last mark at most; the Standard needs one, and not every writer makes it zero. The mark cannot stand
within coded data, where a zero follows every 0xFF."""


@dataclass(frozen=True)
class Fragments:
    """What lies in the stream: the Basic Offset Table, the fragments behind it, and the first byte behind all."""

    offsets: tuple[int, ...]
    pieces: tuple[Piece, ...]
    end: int


def fragments_of(stream: BinaryIO, size: int, *, must_end: bool = False) -> Fragments:
    """Walk over the items of encapsulated Pixel Data.

    Args:
        stream: at the first byte of the value.
        size: first position behind what may be read.
        must_end: whether the delimiter must be there, as it is in a file.

    Raises:
        UnsupportedPixels: reason "pixels_truncated" when the items go beyond `size`, "malformed" when they are none.
    """
    pieces: list[Piece] = []
    at = stream.tell()
    while True:
        stream.seek(at)
        head = stream.read(8)
        if head[:4] == _SEQUENCE_END:
            at += 8
            break
        if len(head) < 8:
            if must_end or head:
                raise UnsupportedPixels("Pixel Data has no end", reason="pixels_truncated")
            break
        length = int.from_bytes(head[4:], "little")
        if head[:4] != _ITEM:
            raise UnsupportedPixels("no item where a fragment must be", reason="malformed")
        if at + 8 + length > size:
            raise UnsupportedPixels("the file ends within a fragment", reason="pixels_truncated")
        pieces.append((at + 8, length))
        at += 8 + length
    if not pieces or pieces[0][1] % 4:
        raise UnsupportedPixels("no Basic Offset Table", reason="malformed")
    begin, length = pieces[0]
    stream.seek(begin)
    offsets = struct.unpack(f"<{length // 4}L", stream.read(length))
    return Fragments(offsets, tuple(pieces[1:]), at)


class CodedFrames:
    """The frames of encapsulated Pixel Data that is no video.

    Args:
        ds: with PixelData (bytes or an open stream at its first byte).
        count: Number of Frames.
        is_marked: the code streams begin and end with marks (all but RLE).

    Raises:
        UnsupportedPixels: reason "frame_count" when tables, fragments and `count` disagree, and as `fragments_of`.
    """

    def __init__(self, ds: Dataset, count: int, *, is_marked: bool) -> None:
        pixels = ds.PixelData
        self._stream = io.BytesIO(pixels) if isinstance(pixels, bytes) else pixels
        self._is_marked = is_marked
        begin = self._stream.tell()
        try:
            size = self._stream.seek(0, io.SEEK_END)
            self._stream.seek(begin)
            found = fragments_of(self._stream, size)
            self._frames = self._grouped(found, ds, count)
        finally:
            self._stream.seek(begin)

    def __len__(self) -> int:
        return len(self._frames)

    def frame(self, index: int) -> bytes:
        """The code stream of a frame, counted from 0; the position of the stream is kept.

        Raises:
            UnsupportedPixels: there is no such frame.
        """
        if not 0 <= index < len(self._frames):
            raise UnsupportedPixels("no such frame", reason="frame_count")
        return b"".join(self._bytes(begin, length) for begin, length in self._frames[index])

    def beginning(self, index: int, most: int) -> bytes:
        """At most so many first bytes of the frame's first fragment."""
        begin, length = self._frames[index][0]
        return self._bytes(begin, min(length, most))

    def is_whole(self, index: int) -> bool:
        """Whether the code stream of a frame ends as it must; always true where there is no mark."""
        begin, length = self._frames[index][-1]
        most = min(length, _PADDING + len(_LAST))
        return not self._is_marked or _LAST in self._bytes(begin + length - most, most)

    def _bytes(self, begin: int, length: int) -> bytes:
        back = self._stream.tell()
        self._stream.seek(begin)
        some = self._stream.read(length)
        self._stream.seek(back)
        return some

    def _grouped(self, found: Fragments, ds: Dataset, count: int) -> list[tuple[Piece, ...]]:
        pieces = found.pieces
        if not pieces:
            raise UnsupportedPixels("no fragment", reason="frame_count")
        first = pieces[0][0] - 8
        begins = {begin - 8 - first: at for at, (begin, _) in enumerate(pieces)}
        table = self._extended(ds, pieces, list(begins)) or found.offsets
        if table:
            starts = [begins[offset] for offset in table if offset in begins]
            is_sound = len(starts) == len(table) and starts == sorted(set(starts)) and starts[0] == 0
        else:
            starts = self._starts(pieces, count)
            is_sound = bool(starts) and starts[0] == 0
        if not is_sound or len(starts) != count:
            raise UnsupportedPixels("offsets, fragments and Number of Frames disagree", reason="frame_count")
        return [pieces[at:to] for at, to in zip(starts, [*starts[1:], len(pieces)], strict=True)]

    def _starts(self, pieces: Sequence[Piece], count: int) -> list[int]:
        """Without a table: every fragment that begins as a code stream does; of RLE every fragment (PS3.5 A.4.2)."""
        if not self._is_marked:
            return list(range(len(pieces)))
        found = [at for at, (begin, _) in enumerate(pieces) if self._bytes(begin, 4).startswith(_STARTS)]
        return found or ([0] if count == 1 else [])  # what begins otherwise is no code stream: the decoder says so

    def _extended(self, ds: Dataset, pieces: Sequence[Piece], begins: Sequence[int]) -> tuple[int, ...]:
        """Extended Offset Table (PS3.3 C.7.6.3.1.8): one fragment per frame, of the lengths it states."""
        raw, lengths = ds.get("ExtendedOffsetTable"), ds.get("ExtendedOffsetTableLengths")
        if not raw:
            return ()
        there = [length for _, length in pieces]
        try:
            offsets: tuple[int, ...] = struct.unpack(f"<{len(there)}Q", raw)
            stated: tuple[int, ...] = struct.unpack(f"<{len(there)}Q", lengths)
        except (struct.error, TypeError) as exc:
            raise UnsupportedPixels("the Extended Offset Table has another length", reason="frame_count") from exc
        if offsets != tuple(begins) or any(not 0 <= a - b <= 1 for a, b in zip(there, stated, strict=True)):
            raise UnsupportedPixels("the Extended Offset Table is not true", reason="frame_count")
        return offsets
