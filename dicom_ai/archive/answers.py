"""A question at a level of the Study Root model, and whether an answer is an answer to it (PS3.4 C.2.2, C.6.2).

What an archive says is held against what it was asked: another study, another day, another accession number than was
asked for shows an archive that passes over a key, and is never followed. What this is not: the exchange of messages.
"""

import re
from collections.abc import Iterable
from typing import Literal

from pydicom.dataset import Dataset

Level = Literal["STUDY", "SERIES", "IMAGE"]

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # PS3.5 9.1
_WORDS = {
    "StudyInstanceUID": "other_study",
    "SeriesInstanceUID": "other_series",
    "Modality": "other_modality",
    "QueryRetrieveLevel": "other_level",
    "AccessionNumber": "other_accession",
    "StudyDate": "other_date",
    "StudyTime": "other_date",
}
_RANGES = ("StudyDate", "StudyTime")


def keys(level: Level, study: str = "", **more: str) -> Dataset:
    """An identifier: keys with a value are matched, those without are asked back.

    Examples:
        >>> keys("SERIES", "1.2.3", Modality="US").Modality
        'US'
    """
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    asked.StudyInstanceUID = study
    for keyword, value in more.items():
        setattr(asked, keyword, value)
    return asked


def contradiction(asked: Dataset, answer: Dataset) -> str:
    """A word for how an answer contradicts the question; "" when it does not. Silence contradicts nothing."""
    for keyword, word in _WORDS.items():
        wanted, said = text(asked, keyword), text(answer, keyword)
        if wanted and said and not _agree(keyword, wanted, said):
            return word
    return ""


def is_uid(said: str) -> bool:
    """Whether it is a UID (PS3.5 9.1): at most 64 digits and dots, no empty or padded component.

    Examples:
        >>> is_uid("1.2.840"), is_uid("1.02"), is_uid("../x")
        (True, False, False)
    """
    return len(said) <= 64 and _UID.fullmatch(said) is not None


def distinct(answers: Iterable[Dataset], keyword: str, refused: list[str]) -> list[str]:
    """The UIDs that answers name under `keyword`, each once; words for those that name none, or one again."""
    seen: dict[str, None] = {}
    for answer in answers:
        uid = text(answer, keyword)
        if not is_uid(uid):
            refused.append("no_uid")
        elif uid in seen:
            refused.append("repeated")
        else:
            seen[uid] = None
    return list(seen)


def text(ds: Dataset, keyword: str) -> str:
    """A value as text without padding; "" where it is absent or cannot be read."""
    try:
        return str(ds.get(keyword) or "").strip(" \0")
    except Exception:  # noqa: BLE001 - a value of another maker that cannot be read is none
        return ""


def texts(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """The values of an element that may have several."""
    try:
        said = ds.get(keyword) or ""
        several = [said] if isinstance(said, str) else list(said)
        return tuple(filter(None, (str(one).strip(" \0") for one in several)))
    except Exception:  # noqa: BLE001 - as above
        return ()


def is_within(wanted: str, said: str) -> bool:
    """Whether a date or time lies in a range FIRST-LAST, ends included (PS3.4 C.2.2.2.5); parts count as they stand.

    Examples:
        >>> is_within("20260101-20260131", "20260131"), is_within("20260101-20260131", "20260201")
        (True, False)
        >>> is_within("080000-085959", "0859"), is_within("080000-085959", "085959.5")
        (True, True)
    """
    first, dash, last = wanted.partition("-")
    whole = said.replace(":", "").partition(".")[0]
    return whole >= first[: len(whole)] and whole[: len(last or first)] <= (last if dash else first)


def _agree(keyword: str, wanted: str, said: str) -> bool:
    return is_within(wanted, said) if keyword in _RANGES else said == wanted
