"""The whole stream walked element by element before any of it is believed: order, lengths, ends; values are skipped.

A lenient reader forgives what nobody should: the second of two elements of one tag wins, a stray delimiter hides what
follows, a value may end behind the file. Here each of them is a reason (PS3.5 7.1, 7.5, A.4). Iterative and bounded,
so that neither nesting nor number exhausts anything. What this is not: a parser; pydicom reads the values afterwards.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from dicom_ai.crop.encapsulated import fragments_of
from dicom_ai.errors import NotAnalysable, UnreadableInstance, UnsupportedPixels
from dicom_ai.seekable import Seekable

MOST_ELEMENTS = 200_000
"""Elements and items looked at. A scanner's object has some hundred; items of defined length are skipped whole."""

DEEPEST = 64
"""Sequences inside one another."""

LONGEST_REGIONS = 1 << 18
"""Bytes of Sequence of Ultrasound Regions, about 800 items; the reader would make an object of every element."""

_PIXEL_DATA = 0x7FE00010
_REGIONS = 0x00186011
_TRANSFER_SYNTAX = 0x00020010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4, "OW": 2, "OF": 4, "OL": 4, "OD": 8}


@dataclass(frozen=True)
class PixelBytes:
    """Where the value of Pixel Data lies in the stream, half open; with its delimiter if it is encapsulated."""

    begin: int
    end: int
    vr: str


class _Part(Seekable):
    """A part of a stream as a stream of its own, so that nothing behind it can be read as pixels."""

    def __init__(self, stream: BinaryIO, begin: int, end: int) -> None:
        super().__init__()
        self._stream, self._begin, self._size = stream, begin, end - begin

    def end(self) -> int:
        return self._size

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer)[: max(0, self._size - self.at)]
        self._stream.seek(self._begin + self.at)
        some = self._stream.read(len(room))
        room[: len(some)] = some
        self.at += len(some)
        return len(some)


def pixels_in(stream: BinaryIO, where: PixelBytes) -> BinaryIO:
    """The value of Pixel Data as a stream at its first byte; it lives as long as `stream`."""
    return io.BufferedReader(_Part(stream, where.begin, where.end))


def pixel_bytes(stream: BinaryIO, unfolded: UID | None = None) -> PixelBytes | None:
    """Walk to the end of a Part 10 file, or of the data set alone, and find Pixel Data.

    Args:
        stream: seekable; left anywhere.
        unfolded: transfer syntax of a data set that stands alone in the stream (it was deflated); None for a file.

    Returns:
        Where Pixel Data lies; None when there is none at top level, or the transfer syntax is not a known one.

    Raises:
        UnreadableInstance: no Part 10 file.
        NotAnalysable: reason "malformed" or "pixels_truncated".
    """
    walk = _Walk(stream)
    if unfolded is None and walk.bytes_at(128, 4) != b"DICM":
        raise UnreadableInstance("no DICM prefix")
    found, last = None, -1
    for tag, vr, begin, end in walk.top_level(132 if unfolded is None else 0, unfolded):
        if tag <= last or tag >> 16 == 0xFFFE:
            raise _malformed("elements out of order")
        last = tag
        if tag == _PIXEL_DATA:
            found = PixelBytes(begin, end, vr)
        elif tag == _REGIONS and end - begin > LONGEST_REGIONS:
            raise _malformed("more regions than a screen has")
    return found


def _malformed(detail: str) -> NotAnalysable:
    return NotAnalysable(detail, reason="malformed")


class _Walk:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._left = stream, MOST_ELEMENTS
        self._size = stream.seek(0, io.SEEK_END)
        self._order, self._is_implicit, self._is_encapsulated = "<", False, False

    def bytes_at(self, at: int, count: int) -> bytes:
        self._stream.seek(at)
        return self._stream.read(count)

    def top_level(self, at: int, unfolded: str | None) -> Iterator[tuple[int, str, int, int]]:
        """Tag, VR ("" where implicit), begin and end of the value of every element."""
        syntax, is_meta = unfolded, unfolded is None
        if not is_meta:
            self._follows(syntax)
        while at < self._size:
            if is_meta and self.bytes_at(at, 2) != b"\2\0":
                is_meta = False
                if not self._follows(syntax):
                    return
            tag, vr, length, begin = self._element(at, is_implicit=self._is_implicit)
            at = self._end_of(tag, vr, length, begin)
            if tag == _TRANSFER_SYNTAX:
                syntax = self.bytes_at(begin, min(length, 64)).decode("ascii", "replace").strip(" \0")
            yield tag, vr, begin, at

    def _follows(self, stated: str | None) -> bool:
        """Read on as the transfer syntax says; False for one of which nobody knows how it is encoded."""
        if stated is None:
            raise UnreadableInstance("no Transfer Syntax UID")
        if UID_dictionary.get(stated, ("", ""))[1] != "Transfer Syntax":
            return False
        syntax = UID(stated)
        self._order = "<" if syntax.is_little_endian else ">"
        self._is_implicit, self._is_encapsulated = syntax.is_implicit_VR, syntax.is_encapsulated
        return True

    def _element(self, at: int, *, is_implicit: bool) -> tuple[int, str, int, int]:
        self._left -= 1
        if self._left < 0:
            raise _malformed("more elements than an object has")
        head = self.bytes_at(at, 12)
        if len(head) < 8:
            raise _malformed("bytes behind the last element")
        group, number, length = struct.unpack(f"{self._order}HHL", head[:8])
        if is_implicit or group == 0xFFFE:
            return group << 16 | number, "", length, at + 8
        vr = head[4:6].decode("latin-1")
        if vr not in STANDARD_VR:
            raise _malformed("no VR")
        if vr not in EXPLICIT_VR_LENGTH_32:
            return group << 16 | number, vr, struct.unpack(f"{self._order}H", head[6:8])[0], at + 8
        if len(head) < 12:
            raise _malformed("bytes behind the last element")
        return group << 16 | number, vr, struct.unpack(f"{self._order}L", head[8:])[0], at + 12

    def _end_of(self, tag: int, vr: str, length: int, begin: int) -> int:
        if length == _UNDEFINED:
            if tag != _PIXEL_DATA:
                return self._end_of_items(begin, is_implicit=self._is_implicit or vr == "UN")
            if not self._is_encapsulated:
                raise _malformed("Pixel Data of undefined length")
            self._stream.seek(begin)
            return fragments_of(self._stream, self._size, must_end=True).end
        if begin + length > self._size:
            if tag == _PIXEL_DATA:
                raise UnsupportedPixels("the file ends within Pixel Data", reason="pixels_truncated")
            raise _malformed("a value ends behind the file")
        if length % _SIZES.get(vr, 1) or (length % 2 and tag != _PIXEL_DATA):
            raise _malformed("a value of a length its VR cannot have")
        return begin + length

    def _end_of_items(self, at: int, *, is_implicit: bool) -> int:
        """Behind the delimiter of a sequence of undefined length; `open_` holds what is still to be closed."""
        open_ = [(_SEQUENCE_END, is_implicit)]
        while open_:
            until, implicit = open_[-1]
            tag, vr, length, begin = self._element(at, is_implicit=implicit)
            at = begin
            if tag == until:
                open_.pop()
            elif until == _SEQUENCE_END and tag != _ITEM:
                raise _malformed("no item where an item must be")
            elif length != _UNDEFINED:
                at = begin + length
            elif until == _SEQUENCE_END:
                open_.append((_ITEM_END, implicit))
            else:
                open_.append((_SEQUENCE_END, implicit or vr == "UN"))
            if len(open_) > 2 * DEEPEST or at > self._size:
                raise _malformed("items that do not end")
        return at
