"""Reads written bytes as a DICOM file of the one form exports have, strictly, to the last byte.

Independent of the library that wrote them. Only what an export may be is understood: a zero preamble, Explicit VR
Little Endian, defined lengths, ascending tags. What this is not: a reader of other people's files.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_ITEM = 0xFFFEE000
_DEEPEST = 4


class NotStrict(Exception):
    """The bytes break the form; the argument is a code, never a value."""


@dataclass(frozen=True)
class Found:
    """One element.

    Attributes:
        path: tags from the main data set down to this element.
        vr: as written.
        begin, end: of the value field in the bytes; of a sequence what its items take.
    """

    path: tuple[int, ...]
    vr: str
    begin: int
    end: int


def walk(data: bytes | memoryview) -> list[Found]:
    """Every element of a file, in its order, sequences before their items.

    Raises:
        NotStrict: "preamble", "prefix", "order", "length", "vr", "item", "depth", "meta_length" or "trailing_bytes".
    """
    view = memoryview(data)
    if bytes(view[:128]) != bytes(128):
        raise NotStrict("preamble")
    if bytes(view[128:132]) != b"DICM":
        raise NotStrict("prefix")
    found = list(_elements(view, 132, len(view), ()))
    meta = [one for one in found if one.path[0] >> 16 == 2]
    if not meta or meta[0].path != (0x00020000,) or meta[0].end - meta[0].begin != 4:
        raise NotStrict("meta_length")
    (length,) = struct.unpack("<I", view[meta[0].begin : meta[0].end])
    if meta[0].end + length != meta[-1].end:
        raise NotStrict("meta_length")
    return found


def _elements(view: memoryview, at: int, end: int, path: tuple[int, ...]) -> Iterator[Found]:
    before = -1
    while at < end:
        if end - at < 8:
            raise NotStrict("trailing_bytes")
        group, element, vr, short = struct.unpack("<HH2sH", view[at : at + 8])
        tag = group << 16 | element
        if tag <= before:
            raise NotStrict("order")
        if not (vr.isalpha() and vr.isupper()):
            raise NotStrict("vr")
        begin, length = at + 8, short
        if vr in _LONG:
            if short or end - at < 12:
                raise NotStrict("length")
            begin, length = at + 12, struct.unpack("<I", view[at + 8 : at + 12])[0]
        if length % 2 or begin + length > end:
            raise NotStrict("length")
        here = (*path, tag)
        yield Found(here, vr.decode("ascii"), begin, begin + length)
        if vr == b"SQ":
            yield from _of_items(view, begin, begin + length, here)
        at, before = begin + length, tag


def _of_items(view: memoryview, at: int, end: int, path: tuple[int, ...]) -> Iterator[Found]:
    if len(path) > _DEEPEST:
        raise NotStrict("depth")
    while at < end:
        if end - at < 8:
            raise NotStrict("item")
        group, element, length = struct.unpack("<HHI", view[at : at + 8])
        if group << 16 | element != _ITEM or at + 8 + length > end:
            raise NotStrict("item")
        yield from _elements(view, at + 8, at + 8 + length, path)
        at += 8 + length
