"""Looks for forbidden strings in bytes: in text plainly, in pixels at every offset at once.

What this is not: a decoder; whoever asks brings the strings in every encoding that counts (`words.identity_bytes`).
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

LONG = 10
"""Bytes from which a string is looked for everywhere, also across other text. A shorter one occurs in keyed hashes and
pixels by chance; it is looked for as a whole value (`is_whole`)."""

LEAST_DIFFERENT = 4
"""Different bytes a string must have to be looked for in pixels: an even grey area repeats one byte, and an ID of
zeros would be found in it."""

LEAST_WHOLE = 4
"""Digits from which a number that is a whole value counts as an ID: of ID 30 nobody could tell a frame rate."""

_PROBE = 8


def long_ones(needles: Iterable[bytes]) -> frozenset[bytes]:
    """Those of at least `LONG` bytes."""
    return frozenset(needle for needle in needles if len(needle) >= LONG)


def in_text(text: bytes, needles: Iterable[bytes]) -> bool:
    """Whether any of the strings stands anywhere in the text, ASCII letters compared without case."""
    lower = text.lower()
    return any(needle in lower for needle in needles)


def is_whole(value: str, numbers: Iterable[str]) -> bool:
    """Whether one of the numbers of a value field is, digit for digit, one of the patient's numbers."""
    known = {number for number in numbers if len(number) >= LEAST_WHOLE and number.isdigit()}
    return any(part.strip() in known for part in value.split("\\"))


def in_pixels(pixels: npt.NDArray[np.uint8], needles: Iterable[bytes]) -> bool:
    """Whether any of the strings stands anywhere in the bytes of pixels, ASCII letters compared without case.

    The first eight bytes of every string are compared two by two through tables, at all offsets at once, so that the
    cost hardly depends on how many strings there are; what remains is compared in full.

    Args:
        pixels: uint8, contiguous, of any shape.
        needles: lower case, at least `LONG` bytes each.
    """
    wanted = [needle for needle in needles if len(set(needle)) >= LEAST_DIFFERENT]
    if not wanted:
        return False
    flat = pixels.reshape(-1)
    tables = _tables(wanted)
    step = 1 << 24
    for begin in range(0, len(flat), step):
        piece = flat[begin : begin + step + max(map(len, wanted))]
        for at in _candidates(piece, tables):
            lower = piece[at : at + max(map(len, wanted))].tobytes().lower()
            if any(lower.startswith(needle) for needle in wanted):
                return True
    return False


def _tables(needles: list[bytes]) -> list[npt.NDArray[np.bool_]]:
    """Per pair of bytes which pairs begin a string, letters in both cases."""
    tables = [np.zeros(1 << 16, np.bool_) for _ in range(_PROBE // 2)]
    for needle in needles:
        for index, table in enumerate(tables):
            first, second = (needle[2 * index + k : 2 * index + k + 1] for k in (0, 1))
            for a in {first, first.upper()}:
                for b in {second, second.upper()}:
                    table[a[0] | b[0] << 8] = True
    return tables


def _candidates(piece: npt.NDArray[np.uint8], tables: list[npt.NDArray[np.bool_]]) -> npt.NDArray[np.intp]:
    if len(piece) < _PROBE:
        return np.empty(0, np.intp)
    found = []
    for odd in (0, 1):
        pairs = piece[odd : odd + (len(piece) - odd) // 2 * 2].view("<u2")
        at = np.flatnonzero(tables[0][pairs])
        for index, table in enumerate(tables[1:], start=1):
            at = at[at + index < len(pairs)]
            at = at[table[pairs[at + index]]]
        found.append(2 * at + odd)
    return np.concatenate(found)
