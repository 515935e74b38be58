"""The identity a header states: as words that a screen may show, and as bytes that an exported file must not hold.

Two lists. `identity_words` is short: names, numbers and dates as screens write them, for the search in pixels, where
each word costs time. `identity_bytes` is long: every text, date and UID of the header at any depth, private elements
among them, whole and in words, in every encoding, for the search in written bytes. Pure; both live only as long as
the object is looked at and are never written, logged or sent anywhere.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from dicom_ai.charset import TEXT_VRS, terms_of, text_of

NAMES = (
    "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ReferringPhysicianName",
    "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "RequestingPhysician",
    "OperatorsName", "ResponsiblePerson",
)  # fmt: skip
NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "AdmissionID", "StudyID")
PLACES = ("InstitutionName", "InstitutionalDepartmentName", "StationName")
DATES = ("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")

LEAST_WORD = 4
"""Characters of a word inside a longer text that counts on its own; parts of names count from two on."""

LONGEST_TEXT = 1 << 16
"""Bytes of one value in which words are looked for: more is no text that names somebody, and private elements hold
whole pictures."""

_REGISTRY = "1.2.840.10008."  # UIDs of the Standard itself: the same in every object of the world
_ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "gb18030")
_TEXT = (*TEXT_VRS, "AE", "UR")
_SEPARATORS = re.compile(r"[\\^=]")
_WORDS = re.compile(r"[^\W_]+(?:['.-][^\W_]+)*")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def identity_words(ds: Dataset) -> tuple[str, ...]:
    """Words a screen may show of this patient, study and site: name parts, IDs, dates in the usual forms, institution.

    Args:
        ds: the header as received.

    Returns:
        Distinct strings of at least two characters, longest first.
    """
    words: set[str] = set()
    for keyword in NAMES:
        for value in _values(ds, keyword):
            for group in value.split("="):
                parts = [part.strip() for part in group.split("^") if part.strip()]
                words |= {*parts, " ".join(parts[:2]), ", ".join(parts[:2]), "".join(parts[:2])}
    for keyword in NUMBERS:
        words |= set(_values(ds, keyword))
    for keyword in PLACES:
        for value in _values(ds, keyword):
            words |= {value, *(word for word in _WORDS.findall(value) if len(word) >= LEAST_WORD)}
    for keyword in DATES:
        for value in _values(ds, keyword):
            words |= set(forms_of(value))
    return tuple(sorted({word.strip() for word in words if len(word.strip()) > 1}, key=lambda w: (-len(w), w)))


def identity_bytes(ds: Dataset) -> frozenset[bytes]:
    """What must not stand in an exported file, as bytes with ASCII letters in lower case.

    Every text value of the header (any VR of text, AE, UR), every part of a name, every word of at least `LEAST_WORD`
    characters, every date in all forms of `forms_of`, every UID but those of the Standard; from nested items and
    private elements as well. Each as UTF-8, Latin-1, UTF-16 in both orders, GB18030, in the character sets of the
    source, and as the source's own bytes; each as written, in lower, upper and title case.

    Args:
        ds: the header as received.
    """
    found: set[bytes] = set()
    codecs = {*_ENCODINGS, *_codecs(ds)}
    for text in identity_texts(ds):
        for form in {text, text.lower(), text.upper(), text.title(), text.casefold()}:
            found |= {encoded for codec in codecs if (encoded := _encoded(form, codec))}
    found |= {part.strip(b" \0") for raw in _raw(ds) for part in re.split(rb"[\\^=]", raw)}
    return frozenset(one.lower() for one in found if len(one) > 1)


def identity_texts(ds: Dataset) -> frozenset[str]:
    """The strings behind `identity_bytes`, before they are encoded; at least two characters each."""
    found: set[str] = set()
    for vr, text in _texts(ds):
        if vr == "UI":
            found |= {uid for uid in text.split("\\") if not uid.startswith(_REGISTRY)}
        elif vr in {"DA", "DT"}:
            found |= {form for value in text.split("\\") for form in forms_of(value)}
        else:
            found |= {text, *_SEPARATORS.split(text), *(w for w in _WORDS.findall(text) if len(w) >= LEAST_WORD)}
    return frozenset(text.strip() for text in found if len(text.strip()) > 1)


def identity_numbers(ds: Dataset) -> frozenset[str]:
    """The numbers under which a hospital knows the patient and the visit, as written."""
    return frozenset(value for keyword in NUMBERS for value in _values(ds, keyword))


def forms_of(date: str) -> tuple[str, ...]:
    """A date YYYYMMDD (a time behind it is left out, points are taken off) in the forms in which people write it.

    Returns:
        The forms; of what is no date the text itself.

    Examples:
        >>> forms_of("20240304")[:4]
        ('20240304', '2024-03-04', '2024/03/04', '2024.03.04')
        >>> "04-MAR-2024" in forms_of("20240304"), "3/4/2024" in forms_of("20240304")
        (True, True)
    """
    digits = date.strip(" \0").replace(".", "").replace("-", "")[:8]
    try:
        day = datetime.strptime(digits, "%Y%m%d")  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return (date.strip(" \0"),) if date.strip(" \0") else ()
    y, m, d, month = f"{day:%Y}", f"{day:%m}", f"{day:%d}", _MONTHS[day.month - 1]
    forms = [sep.join((y, m, d)) for sep in ("", "-", "/", ".")]
    forms += [sep.join(order) for sep in "./-" for order in ((d, m, y), (m, d, y), (d, m, y[2:]), (m, d, y[2:]))]
    forms += [f"{day.month}/{day.day}/{y}", f"{day.day}.{day.month}.{y}", f"{d} {month} {y}", f"{month} {d}, {y}"]
    forms += [f"{month} {day.day}, {y}", f"{d}{month.upper()}{y}", f"{d}-{month.upper()}-{y}", f"{d}-{month}-{y}"]
    forms += [f"{y}年{day.month}月{day.day}日", f"{y}年{m}月{d}日"]
    return tuple(dict.fromkeys(forms))


def character_sets(ds: Dataset) -> tuple[str, ...]:
    """The terms of Specific Character Set, read without the library's warnings; empty where none is stated."""
    if "SpecificCharacterSet" not in ds:
        return ()
    try:
        return terms_of(ds.get_item("SpecificCharacterSet").value)
    except (ValueError, TypeError):
        return ()


def _values(ds: Dataset, keyword: str) -> list[str]:
    """The values of one attribute of the main data set, exactly decoded where that can be done."""
    if keyword not in ds:
        return []
    item = ds.get_item(keyword)
    text = _text_of(item, _vr(item), character_sets(ds))
    return [value.strip(" \0") for value in text.split("\\") if value.strip(" \0")]


def _items(ds: Dataset) -> Iterator[tuple[str, RawDataElement | DataElement, tuple[str, ...]]]:
    """Every element but sequences, at any depth: its VR, the element, the character sets in force."""
    terms = character_sets(ds)
    for tag in list(ds.keys()):
        item = ds.get_item(tag)
        vr = _vr(item)
        if vr != "SQ":
            yield vr, item, terms
            continue
        try:
            nested = ds[tag].value
        except Exception:  # noqa: BLE001, S112 - bytes that are no items; the library raises whatever it meets
            continue
        for one in nested if isinstance(nested, Sequence) else ():
            if "SpecificCharacterSet" not in one:
                yield from ((v, i, terms) for v, i, _ in _items(one))
            else:
                yield from _items(one)


def _texts(ds: Dataset) -> Iterator[tuple[str, str]]:
    for vr, item, terms in _items(ds):
        if vr in {*_TEXT, "UI", "DA", "DT"}:
            yield vr, _text_of(item, vr, terms)
        elif vr in {"UN", "OB"} and isinstance(item.value, bytes) and len(item.value) <= LONGEST_TEXT:
            text = item.value.strip(b" \0")
            if text and all(32 <= byte < 127 or byte >= 160 for byte in text):
                yield "LO", _decoded(text, terms, "LO")


def _raw(ds: Dataset) -> Iterator[bytes]:
    """The source's own bytes of text that is not plain ASCII; the rest is encoded above."""
    for vr, item, _ in _items(ds):
        if vr in _TEXT and isinstance(item.value, bytes) and not item.value.isascii():
            yield item.value[:LONGEST_TEXT]


def _vr(item: RawDataElement | DataElement) -> str:
    if item.VR is not None:
        return str(item.VR)
    try:
        return dictionary_VR(BaseTag(item.tag))
    except KeyError:
        return "UN"


def _text_of(item: RawDataElement | DataElement, vr: str, terms: tuple[str, ...]) -> str:
    value = item.value
    if isinstance(value, bytes):
        return _decoded(value[:LONGEST_TEXT], terms, vr)
    if isinstance(value, (MultiValue, list, tuple)):
        return "\\".join(str(one) for one in value)
    return "" if value is None else str(value)


def _decoded(raw: bytes, terms: tuple[str, ...], vr: str) -> str:
    try:
        text = text_of(raw, terms, vr if vr in TEXT_VRS else "LO")
    except ValueError:
        text = raw.decode("latin-1")
    return text if isinstance(text, str) else "\\".join(text)


def _codecs(ds: Dataset) -> Iterable[str]:
    """Python's names of the source's character sets; those it does not know are left to the source's own bytes."""
    return {python_encoding[term] for term in character_sets(ds) if term in python_encoding}


def _encoded(text: str, codec: str) -> bytes:
    try:
        return text.encode(codec)
    except (UnicodeEncodeError, LookupError):
        return b""
