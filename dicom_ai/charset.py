"""Encoded text of a data set to str by its Specific Character Set: exactly, or not at all.

Libraries put replacement characters where bytes do not fit and guess where no set is stated; the patient would get
another name. Here such text has no reading, and whoever asked decides. Bytes are decoded before they are split into
values, because in GBK and GB18030 the second byte of a character may be a backslash or a caret (PS3.5 6.1.2.5.3).
PS3.3 C.12.1.1.2 lists the terms, PS3.5 6.1.2 says how sets are switched by escape sequences (ISO 2022).
"""

import re
from collections.abc import Callable, Sequence

TEXT_VRS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
"""What Specific Character Set governs (PS3.5 6.1.2.2)."""

_SINGLE_VALUED = ("LT", "ST", "UT")

Reading = Callable[[bytes], str]


def _codec(name: str) -> Reading:
    return lambda raw: raw.decode(name)


def _katakana(raw: bytes) -> str:
    """JIS X 0201: half-width katakana at A1..DF; the backslash stays one, it separates values."""
    if any(byte >= 0x80 and not 0xA1 <= byte <= 0xDF for byte in raw):
        raise ValueError("no JIS X 0201")
    return "".join(chr(byte if byte < 0x80 else 0xFF61 + byte - 0xA1) for byte in raw)


def _two_bytes(escape: bytes, name: str) -> Reading:
    return lambda raw: (escape + raw + b"\x1b(B").decode(name)


_ASCII = _codec("ascii")
_SINGLE_BYTE = {
    "": _ASCII, "6": _ASCII, "13": _katakana, "100": _codec("latin-1"), "101": _codec("iso8859-2"),
    "109": _codec("iso8859-3"), "110": _codec("iso8859-4"), "126": _codec("iso8859-7"), "127": _codec("iso8859-6"),
    "138": _codec("iso8859-8"), "144": _codec("iso8859-5"), "148": _codec("iso8859-9"), "166": _codec("iso8859-11"),
    "203": _codec("iso8859-15"),
}  # fmt: skip
_WHOLE = {"ISO_IR 192": _codec("utf-8"), "GB18030": _codec("gb18030"), "GBK": _codec("gbk")}
"""Sets that stand alone: no escape sequences, nothing else beside them."""

_SLOPPY = {"149": _codec("euc_kr"), "58": _codec("gb2312"), "87": _ASCII, "159": _ASCII}
"""Sets that PS3.3 allows from the second value on only, read as some scanners mean them when they stand first."""

_G0 = {b"(B": None, b"(J": None, b"$B": _two_bytes(b"\x1b$B", "iso2022_jp"),
       b"$(D": _two_bytes(b"\x1b$(D", "iso2022_jp_2")}  # fmt: skip
_G1 = {
    b")I": _katakana, b"$)C": _codec("euc_kr"), b"$)A": _codec("gb2312"),
    b"-A": _codec("latin-1"), b"-B": _codec("iso8859-2"), b"-C": _codec("iso8859-3"), b"-D": _codec("iso8859-4"),
    b"-F": _codec("iso8859-7"), b"-G": _codec("iso8859-6"), b"-H": _codec("iso8859-8"), b"-L": _codec("iso8859-5"),
    b"-M": _codec("iso8859-9"), b"-T": _codec("iso8859-11"), b"-b": _codec("iso8859-15"),
}  # fmt: skip
_ESCAPE = re.compile(rb"\x1b(\([BJ]|\$B|\$\(D|\)I|\$\)[CA]|-[ABCDFGHLMTb])")
_DELIMITERS = re.compile(rb"([\\\t\n\f\r])")
_NAME_DELIMITERS = re.compile(rb"([\\\t\n\f\r^=])")
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufffd]")
_WRITTEN_OTHERWISE = re.compile(r"ISO[ _-]IR[ _-]?([0-9]+)")


def text_of(raw: bytes, terms: Sequence[str], vr: str) -> str | list[str]:
    """Decode one text value, padding taken off.

    Args:
        raw: the encoded value field.
        terms: values of Specific Character Set; empty where the object states none (then ASCII, PS3.3 C.12.1.1.2).
        vr: one of `TEXT_VRS`.

    Returns:
        The text, or a list where the value field holds several values.

    Raises:
        ValueError: the bytes have no reading in these character sets.
    """
    raw = raw.rstrip(b" \0")
    text = raw.decode("ascii") if raw.isascii() and b"\x1b" not in raw else _decoded(raw, terms, is_name=vr == "PN")
    if _CONTROL.search(text):
        raise ValueError("control characters")
    if vr in _SINGLE_VALUED or "\\" not in text:
        return text
    return [value.rstrip(" ") for value in text.split("\\")]


def terms_of(stated: object) -> tuple[str, ...]:
    """The terms of a Specific Character Set as a library or a byte string gives it, small slips of the pen mended."""
    if isinstance(stated, bytes):
        stated = stated.decode("ascii", "replace").strip(" \0").split("\\")
    values = [stated] if isinstance(stated, str) or stated is None else list(stated)  # type: ignore[call-overload]
    terms = [str(value or "").strip(" \0") for value in values]
    return tuple(_WRITTEN_OTHERWISE.sub(r"ISO_IR \1", term) for term in terms)


def _decoded(raw: bytes, terms: Sequence[str], *, is_name: bool) -> str:
    first = terms[0] if terms else ""
    if first in _WHOLE:
        return _WHOLE[first](raw)
    number = re.sub(r"ISO(_| 2022 )IR ", "", first)
    initial = _SINGLE_BYTE.get(number) or _SLOPPY.get(number)
    if initial is None:
        raise ValueError("an unknown character set")
    return _switched(raw, initial, _NAME_DELIMITERS if is_name else _DELIMITERS)


def _switched(raw: bytes, initial: Reading, delimiters: re.Pattern[bytes]) -> str:
    """Text with escape sequences; every delimiter brings back the initial sets (PS3.5 6.1.2.5.3)."""
    head, *rest = _ESCAPE.split(raw)
    low, high = None, initial
    text = ""
    for escape, piece in zip([b"", *rest[::2]], [head, *rest[1::2]], strict=True):
        if escape in _G0:
            low = _G0[escape]
        elif escape in _G1:
            high = _G1[escape]
        if low is not None:
            text += low(piece)
            continue
        for part in delimiters.split(piece):
            if delimiters.fullmatch(part):
                high = initial
            text += high(part)
    return text
