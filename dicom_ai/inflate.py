"""Deflated data sets (PS3.5 A.5), unfolded piece by piece and within bounds.

A few kilobytes can unfold to gigabytes, and a library that unfolds a data set before it reads it has spent the memory
before anything could be checked. Here at most `HEADER` bytes are unfolded before the pixels, and pixels are unfolded
as they are read and not kept. What this is not: a parser; and it is reached only where `receive.deflated` is on.
"""

import io
import zlib
from typing import Any, BinaryIO, cast

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from dicom_ai.errors import UnreadableInstance, UnsupportedPixels
from dicom_ai.seekable import Seekable

DEFLATED = str(DeflatedExplicitVRLittleEndian)

HEADER = 4 << 20
"""Bytes a data set may unfold to before its pixels; those of a scanner are some thousand."""

WHOLE = 2 << 30
"""Bytes it may unfold to at all: about five minutes of a clip."""

_PIXELS = 0x7FE00008  # Float, Double Float and Pixel Data begin here
_LONG_LENGTH = (b"OB", b"OW", b"UN", b"UT", b"SQ")


def beginning(data_set: bytes | memoryview, most: int = HEADER) -> bytes:
    """The first bytes, at most `most`, of what a deflated data set unfolds to.

    Raises:
        UnreadableInstance: the bytes are not deflated.
    """
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data_set, most)
    except zlib.error as exc:
        raise UnreadableInstance("not deflated") from exc


def is_deflated(stream: BinaryIO) -> bool:
    """Whether a Part 10 file says that its data set is deflated; leaves the stream at its first byte."""
    try:
        return _part10(stream)[0] == DEFLATED
    finally:
        stream.seek(0)


def open_deflated(stream: BinaryIO) -> tuple[Dataset, BinaryIO]:
    """Read the header of a deflated Part 10 file.

    Args:
        stream: seekable; must stay open while the pixels are read.

    Returns:
        The elements before the pixels, with file meta information that says Explicit VR Little Endian; and the
        unfolded data set as a stream that stands at the tag of the pixels, or at the end if there are none.

    Raises:
        UnsupportedPixels: it unfolds beyond the bounds (also later, from the stream).
        OSError: damaged (also later).
    """
    _, begin = _part10(stream)
    unfolding = _Unfolding(stream, begin)
    unfolded = _Unfolded(unfolding, 1 << 16)
    ds = read_dataset(unfolded, False, True, stop_when=lambda tag, _vr, _length: tag >= _PIXELS)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    unfolding.limit = WHOLE
    return ds, unfolded


def read_deflated(stream: BinaryIO, *, before: int) -> Dataset:
    """The elements of a deflated Part 10 file before a tag, as far as they lie within `HEADER` bytes.

    Raises:
        UnreadableInstance: the bytes are not deflated.
    """
    syntax, begin = _part10(stream)
    stream.seek(begin)
    unfolded = io.BytesIO(beginning(stream.read(HEADER)))
    ds = read_dataset(unfolded, False, True, stop_when=lambda tag, _vr, _length: tag >= before)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    return ds


def _part10(stream: BinaryIO) -> tuple[str, int]:
    """Transfer syntax of a Part 10 file ("" if it is none), and where its data set begins."""
    stream.seek(0)
    at, syntax = 132, b""
    if stream.read(132)[128:] != b"DICM":
        return "", 0
    while (head := stream.read(12))[:2] == b"\x02\x00":
        is_long = head[4:6] in _LONG_LENGTH
        start = at + (12 if is_long else 8)
        length = int.from_bytes(head[8:12] if is_long else head[6:8], "little")
        if head[2:4] == b"\x10\x00":
            stream.seek(start)
            syntax = stream.read(length)
        at = stream.seek(start + length)
    return syntax.decode("ascii", "replace").strip(" \0"), at


class _Unfolded(io.BufferedReader):
    """Reads no more at once than may be there at all: the room for a value is taken before it is read."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > cast(_Unfolding, self.raw).limit:
            raise UnsupportedPixels("the data set unfolds beyond the bounds")
        return super().read(size)


class _Unfolding(Seekable):
    """The unfolded data set as a stream; going back means beginning anew."""

    def __init__(self, source: BinaryIO, begin: int) -> None:
        super().__init__()
        self.limit = HEADER
        self._source, self._begin = source, begin
        self._restart()

    def _restart(self) -> None:
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._from, self._made = self._begin, 0

    def end(self) -> int:
        while self._some(1 << 16):
            pass
        return self._made

    def readinto(self, buffer: Any) -> int:
        if self.at < self._made:
            self._restart()
        while self._made < self.at:
            if not self._some(min(1 << 16, self.at - self._made)):
                return 0
        some = self._some(len(buffer))
        memoryview(buffer)[: len(some)] = some
        self.at += len(some)
        return len(some)

    def _some(self, most: int) -> bytes:
        """The next bytes, at most `most`; none at the end."""
        while not self._inflater.eof:
            folded = self._inflater.unconsumed_tail
            if not folded:
                self._source.seek(self._from)
                folded = self._source.read(1 << 16)
                self._from += len(folded)
            try:
                some = self._inflater.decompress(folded, most)
            except zlib.error as exc:
                raise OSError("not deflated") from exc
            self._made += len(some)
            if self._made > self.limit:
                raise UnsupportedPixels("the data set unfolds beyond the bounds")
            if some or not folded:
                return some
        return b""
