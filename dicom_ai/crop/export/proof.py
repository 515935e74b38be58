"""The proof: written bytes, read again by other code, hold the kept pixels, listed attributes, and no identity.

Every value must be what the published list says of it: the constant, a word of the closed list, a number within its
bounds, or the keyed or shifted value, made anew here from the source. Then the source's own identity is searched:
strings of ten bytes and more anywhere in the file but in constants, words of closed lists and numbers, where a word
that is also a name would cry wolf and nothing else can stand; the patient's numbers of four digits and more as whole
values among the numbers. What this is not: the deed that follows from a failed proof (the caller deletes the file and
quarantines the source).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicom_ai.crop.export.attributes import LISTED
from dicom_ai.crop.export.build import Site, surviving
from dicom_ai.crop.export.search import in_pixels, in_text, is_whole, long_ones
from dicom_ai.crop.export.values import attribute_of, hold, text_of_value
from dicom_ai.crop.export.walk import Found, NotStrict, walk
from dicom_ai.crop.words import identity_bytes, identity_numbers
from dicom_ai.kept import Kept

_PIXELS = (0x7FE00010,)
_SAME_FOR_ALL = frozenset({"constant", "closed", "computed", "number"})
"""Kinds that hold no text of the source; `values.hold` compares each with the list. Among numbers IDs are searched."""


class Finder(Protocol):
    """Reads text in pictures; `ocr.Reader` is one. Whatever it returns counts as text."""

    def find(self, frames: npt.NDArray[np.uint8]) -> Sequence[Any]:
        """Everything legible in uint8 (T, h, w, C)."""


@dataclass(frozen=True)
class Made:
    """An exported object and what it was made of.

    Attributes:
        data: the bytes as they were read back.
        source: header as received.
        kept: every frame of the source.
        site: as it was built for.
    """

    data: bytes
    source: Dataset
    kept: Kept
    site: Site


def prove(made: Made, reader: Finder | None) -> tuple[str, ...]:
    """What is wrong with an exported object.

    Args:
        made: bytes and sources.
        reader: of text in pictures; None only where somebody else looks for text.

    Returns:
        Codes that never quote a value, empty when everything is proven: those of `walk.NotStrict`,
        "unexpected_attribute", "missing_attribute", "value", "not_replaced", "pixel_bytes", "pixels_outside",
        "pixels_differ", "identity", "identity_in_pixels", "text_found".
    """
    try:
        found = walk(made.data)
    except NotStrict as exc:
        return (str(exc),)
    unlisted = _unlisted(found)
    if unlisted is not None:
        return (unlisted,)
    frames = _frames(made, found)
    if frames is None:
        return ("pixel_bytes",)
    wrong = []
    if (value := hold(made.data, found, made.source, made.kept, made.site)) is not None:
        wrong.append(value)
    if _reaches_outside(frames, made.kept):
        wrong.append("pixels_outside")
    if not all(np.array_equal(*pair) for pair in zip(frames, made.kept.frames, strict=True)):
        wrong.append("pixels_differ")
    wrong += _identity(made, found, frames)
    if not wrong and reader is not None and reader.find(frames):
        wrong.append("text_found")
    return tuple(wrong)


def _unlisted(found: list[Found]) -> str | None:
    """Whether an attribute is there that may not be, or with another VR (odd groups, overlays, icons: none is listed),
    or one is missing that every exported object has.
    """
    for one in found:
        attribute = attribute_of(one.path)
        if attribute is None or attribute.vr != one.vr:
            return "unexpected_attribute"
    always = {(one.tag,) for one in LISTED.values() if one.how in {"constant", "keyed", "empty"}}
    return None if {*always, _PIXELS} <= {one.path for one in found} else "missing_attribute"


def _frames(made: Made, found: list[Found]) -> npt.NDArray[np.uint8] | None:
    """The written pixels, (T, h, w, C); None when there are more or fewer bytes, or a padding byte that is not zero."""
    pixels = next(one for one in found if one.path == _PIXELS)
    shape = made.kept.frames.shape
    length = int(np.prod(shape))
    raw = np.frombuffer(made.data, np.uint8, pixels.end - pixels.begin, pixels.begin)
    if len(raw) != length + length % 2 or raw[length:].any():
        return None
    return raw[:length].reshape(shape)


def _reaches_outside(frames: npt.NDArray[np.uint8], kept: Kept) -> bool:
    """Whether a pixel outside the kept shape, or within what was blanked, is not zero on some frame."""
    if kept.outcome.box is None:
        return True
    x0, y0, x1, y1 = kept.outcome.box
    outside = ~surviving(kept.outcome)[y0:y1, x0:x1]
    if outside.shape != frames.shape[1:3]:
        return True
    return any(bool(frame[outside].any()) for frame in frames)


def _identity(made: Made, found: list[Found], frames: npt.NDArray[np.uint8]) -> list[str]:
    """Strings of the source's identity that stand in the file."""
    everywhere, numbers = long_ones(identity_bytes(made.source)), identity_numbers(made.source)
    pixels = next(one for one in found if one.path == _PIXELS)
    text = bytearray(made.data[: pixels.begin])  # nothing follows the pixels: the walk ended there or with listed ones
    text += made.data[pixels.end :]
    known = {name.encode() for pair in made.site.known for name in pair}
    is_there = False
    for one in found:
        attribute = attribute_of(one.path)
        if attribute is None or one.path == _PIXELS or attribute.how == "items":
            continue
        value = made.data[one.begin : one.end]
        if attribute.how in _SAME_FOR_ALL or (attribute.how == "device" and value.strip(b" ") in known):
            text[one.begin : one.end] = bytes(one.end - one.begin)
        if attribute.how == "number":
            is_there |= is_whole(text_of_value(made.data, one), numbers)
    wrong = ["identity"] if is_there or in_text(bytes(text), everywhere) else []
    return wrong + (["identity_in_pixels"] if in_pixels(frames, everywhere) else [])
