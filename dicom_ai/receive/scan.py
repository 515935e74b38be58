"""Header scan: from the encoded bytes of a data set to the few elements the service needs, within fixed bounds.

Iterative, so that nesting cannot exhaust the stack; it never follows a length beyond the bytes it has, stops behind
the last wanted element and decodes nothing but the wanted values. What this is not: a parser. Whoever needs more
reads the object later, in a process that may die of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicom_ai.charset import TEXT_VRS, terms_of, text_of
from dicom_ai.errors import UnreadableInstance, WrongKind
from dicom_ai.inflate import DEFLATED, beginning
from dicom_ai.receive.tables import is_implicit_vr, is_little_endian

MAX_DEPTH = 64
"""Nested sequences at most."""

MAX_ELEMENTS = 20_000
"""Elements and items looked at, at all levels, at most."""

MAX_VALUE_BYTES = 16_384
"""Longest wanted value; the longest legal one (Patient's Name, three groups) has 194 characters."""

WANTED = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate",
    "AcquisitionDate", "ContentDate", "AcquisitionDateTime", "StudyTime", "SeriesTime", "AcquisitionTime",
    "ContentTime", "AccessionNumber", "Modality", "Manufacturer", "StudyDescription", "SeriesDescription",
    "ManufacturerModelName", "PatientName", "PatientID", "PatientBirthDate", "BodyPartExamined", "FrameTime",
    "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "NumberOfFrames", "Rows", "Columns",
)  # fmt: skip
"""Keywords of the top-level elements that `Instance` and `Identity` ask for."""


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword  # noqa: S101 - a misspelled keyword above, found at import
    return tag


_VRS = {_tag(keyword): dictionary_VR(keyword) for keyword in WANTED}
_CHARACTER_SET, _PROCEDURE, _CODE_VALUE = (
    _tag(keyword) for keyword in ("SpecificCharacterSet", "ProcedureCodeSequence", "CodeValue")
)
_LAST = max(_VRS)

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_FIRST = 0x00080000  # groups below belong to commands, files and directories
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_MANDATORY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def scan(data_set: bytes | memoryview, transfer_syntax_uid: str) -> Dataset:
    """Read the wanted elements of an encoded data set.

    Args:
        data_set: without preamble and group 0002; of a deflated one only the beginning is unfolded.
        transfer_syntax_uid: one of `tables.TRANSFER_SYNTAXES`.

    Returns:
        A data set good for `Instance.of` and `Identity.of`: wanted elements at top level as decoded text or
        numbers, and of Procedure Code Sequence the first item's Code Value. The four UIDs are there and well-formed.

    Raises:
        UnreadableInstance: the bytes break off, contradict themselves, exceed the bounds or name no UIDs.
    """
    if transfer_syntax_uid == DEFLATED:
        data_set = beginning(data_set)
    reader = _Reader(memoryview(data_set), transfer_syntax_uid)
    values, procedure = reader.top_level()
    header = _decoded(values, procedure, "little" if reader.is_little else "big")
    for keyword in _MANDATORY:
        uid = str(header.get(keyword, ""))
        if len(uid) > 64 or not _UID.fullmatch(uid):
            raise UnreadableInstance(f"{keyword} is missing or not a UID")
    return header


def require_match(header: Dataset, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Check that the data set is what the request said.

    Raises:
        WrongKind: it is not.
    """
    if header.SOPClassUID != sop_class_uid or header.SOPInstanceUID != sop_instance_uid:
        raise WrongKind


@dataclass(frozen=True)
class _Element:
    tag: int
    start: int  # of the value
    length: int
    is_unknown: bool  # VR UN


class _Reader:
    """Walks over elements without building anything from them."""

    def __init__(self, data: memoryview, transfer_syntax_uid: str) -> None:
        self._data, self._end = data, len(data)
        self.is_little = is_little_endian(transfer_syntax_uid)
        self._is_implicit = is_implicit_vr(transfer_syntax_uid)
        self._n_left = MAX_ELEMENTS

    def top_level(self) -> tuple[dict[int, bytes], bytes]:
        """Encoded values of the wanted elements, and the Code Value of the first procedure code."""
        values: dict[int, bytes] = {}
        procedure = b""
        at = 0
        while at < self._end:
            element = self._element(at, self._is_implicit)
            if element.tag > _LAST:
                break
            if element.tag < _FIRST:
                raise UnreadableInstance("an element that does not belong into a data set")
            if element.tag == _PROCEDURE:
                procedure = self._code_value(element.start)
            if element.length == _UNDEFINED:
                at = self._skip(element)
                continue
            at = self._behind(element)
            if element.tag in _VRS:
                if element.length > MAX_VALUE_BYTES:
                    raise UnreadableInstance("a value is too long")
                values[element.tag] = bytes(self._data[element.start : at])
        return values, procedure

    def _number(self, at: int, size: int) -> int:
        if at + size > self._end:
            raise UnreadableInstance("the data set breaks off")
        return int.from_bytes(self._data[at : at + size], "little" if self.is_little else "big")

    def _element(self, at: int, is_implicit: bool) -> _Element:
        self._n_left -= 1
        if self._n_left < 0:
            raise UnreadableInstance("too many elements")
        group = self._number(at, 2)
        tag = group << 16 | self._number(at + 2, 2)
        if is_implicit or group == 0xFFFE:  # items and delimiters never have a VR
            return _Element(tag, at + 8, self._number(at + 4, 4), False)
        vr = bytes(self._data[at + 4 : at + 6])
        if not (vr.isalpha() and vr.isupper()):
            raise UnreadableInstance("an element without a VR")
        if vr in _LONG_VRS:
            return _Element(tag, at + 12, self._number(at + 8, 4), vr == b"UN")
        return _Element(tag, at + 8, self._number(at + 6, 2), False)

    def _behind(self, element: _Element) -> int:
        behind = element.start + element.length
        if behind > self._end:
            raise UnreadableInstance("a value is longer than the data set")
        return behind

    def _skip(self, element: _Element) -> int:
        """The position behind an element of undefined length: nested items, or fragments of pixel data."""
        at = element.start
        is_implicit = self._is_implicit or element.is_unknown  # PS3.5 6.2.2 note: UN of undefined length is implicit
        levels = [("items", is_implicit)]
        while levels:
            kind, is_implicit = levels[-1]
            found = self._element(at, is_implicit)
            at = found.start
            if found.tag == (_SEQUENCE_END if kind == "items" else _ITEM_END):
                levels.pop()
            elif (found.tag == _ITEM) != (kind == "items") or found.tag in {_ITEM_END, _SEQUENCE_END}:
                raise UnreadableInstance("items and delimiters do not match")
            elif found.length != _UNDEFINED:
                at = self._behind(found)
            elif len(levels) >= 2 * MAX_DEPTH:
                raise UnreadableInstance("sequences are nested too deep")
            else:
                levels.append(("elements" if kind == "items" else "items", is_implicit or found.is_unknown))
        return at

    def _code_value(self, at: int) -> bytes:
        """Code Value in the first item of the sequence whose value starts here; empty if there is none."""
        if at + 8 > self._end:
            return b""
        item = self._element(at, self._is_implicit)
        if item.tag != _ITEM:
            return b""
        end = self._end if item.length == _UNDEFINED else self._behind(item)
        at = item.start
        while at < end:
            element = self._element(at, self._is_implicit)
            if element.tag == _CODE_VALUE and element.length <= MAX_VALUE_BYTES:
                return bytes(self._data[element.start : self._behind(element)])
            if element.tag >= _CODE_VALUE:
                break
            at = self._skip(element) if element.length == _UNDEFINED else self._behind(element)
        return b""


def _decoded(values: dict[int, bytes], procedure: bytes, byte_order: str) -> Dataset:
    terms = terms_of(values.get(_CHARACTER_SET, b""))
    header = Dataset()
    for tag, value in values.items():
        vr = _VRS[tag]
        if vr != "US":
            header[tag] = DataElement(tag, vr, _text(value, vr, terms), already_converted=True)
        elif len(value) >= 2:
            number = int.from_bytes(value[:2], "little" if byte_order == "little" else "big")
            header[tag] = DataElement(tag, vr, number, already_converted=True)
    if procedure:
        item = Dataset()
        item[_CODE_VALUE] = DataElement(_CODE_VALUE, "SH", _text(procedure, "SH", terms), already_converted=True)
        header[_PROCEDURE] = DataElement(_PROCEDURE, "SQ", Items([item]), already_converted=True)
    return header


def _text(value: bytes, vr: str, terms: Sequence[str]) -> str:
    """Text in the stated character sets; what has no reading there comes byte by byte, so that nothing is made equal.

    NUL is no text anywhere, least of all in a ledger.
    """
    value = value.rstrip(b" \0")
    if vr in TEXT_VRS:
        try:
            text = text_of(value, terms, vr)
        except ValueError:
            pass
        else:
            return text if isinstance(text, str) else "\\".join(text)
    return value.decode("latin-1").replace("\0", " ")
