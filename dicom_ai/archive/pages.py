"""The studies of an archive, asked for day by day in windows that are halved until no answer can have been cut off.

Archives end long answers early: with a status that says so, or without a word. A window with many answers is therefore
asked again in halves (days, then hours, then minutes), whatever the archive said, and what any of the questions
brought counts. What this is not: a judgement of the studies.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pydicom.dataset import Dataset

from dicom_ai.archive.answers import contradiction, is_uid, keys, text
from dicom_ai.archive.filters import Filters
from dicom_ai.errors import PeerFailed

FIRST_WINDOW = timedelta(days=16)
"""Longest range of days in one question."""

SUSPECT = 50
"""From this many answers on a window is asked again in halves. An archive that cuts answers shorter is not noticed."""

_SHORTEST = timedelta(minutes=1)
_BACK = ("PatientID", "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy", "StudyDescription")


class Asked(Protocol):
    """Whoever answers questions: an archive by DIMSE or DICOMweb, or a folder."""

    def find(self, asked: Dataset) -> Iterable[Dataset]:
        """The answers as they were given; raises PeerFailed where the archive ends with a failure, after them."""


@dataclass(frozen=True)
class Listed:
    """A study as an archive lists it.

    Attributes:
        patient: Patient ID, "" where the archive names none.
        is_one: False where the archive named two patients for it.
    """

    study: str
    patient: str
    is_one: bool = True


@dataclass(frozen=True)
class Window:
    """From one minute to another, both included; whole days unless it lies within one."""

    first: datetime
    last: datetime

    @property
    def dates(self) -> str:
        """Range of Study Date."""
        return f"{self.first:%Y%m%d}-{self.last:%Y%m%d}"

    @property
    def times(self) -> str:
        """Range of Study Time; "" for whole days."""
        is_whole = self.last - self.first >= timedelta(hours=23, minutes=59)
        return "" if is_whole else f"{self.first:%H%M}00-{self.last:%H%M}59"

    def halves(self) -> list["Window"]:
        """Two windows that are as long together; none where it cannot be shorter."""
        length = self.last - self.first + _SHORTEST
        if length <= _SHORTEST:
            return []
        days = length // timedelta(days=1)
        half = timedelta(days=-(-days // 2)) if days > 1 else timedelta(minutes=length // _SHORTEST // 2)
        return [Window(self.first, self.first + half - _SHORTEST), Window(self.first + half, self.last)]


def studies(archive: Asked, filters: Filters, refused: list[tuple[str, str]]) -> dict[str, Listed]:
    """Every study that may hold what is wanted, by its UID.

    Args:
        archive: who is asked.
        filters: what is wanted.
        refused: gets (Study Instance UID or "", word) of every answer outside of what was asked.

    Raises:
        PeerFailed: the archive fails on the shortest window too; others as `archive.find`.
    """
    found: dict[str, Listed] = {}
    said: set[tuple[str, str]] = set()
    for answer in _answers(archive, filters, said):
        uid, patient = text(answer, "StudyInstanceUID"), text(answer, "PatientID")
        if not filters.wants_study(answer):
            continue
        known = found.get(uid)
        if known is None:
            found[uid] = Listed(uid, patient)
        elif known.patient != patient:
            found[uid] = Listed(uid, known.patient, is_one=False)
    refused += sorted(said)
    return found


def _answers(archive: Asked, filters: Filters, said: set[tuple[str, str]]) -> Iterator[Dataset]:
    windows = list(_windows(filters))
    if filters.accessions:
        for accession in filters.accessions:
            yield from _believed(archive, _question(filters, accession=accession), said)[0]
        return
    while windows:
        window = windows.pop(0)
        answers, failed = _believed(archive, _question(filters, window), said)
        yield from answers
        halves = window.halves() if failed is not None or len(answers) >= SUSPECT else []
        if failed is not None and not halves:
            raise failed
        windows[:0] = halves


def _windows(filters: Filters) -> Iterator[Window]:
    if filters.since is None or filters.until is None:
        return
    first = datetime(filters.since.year, filters.since.month, filters.since.day)  # noqa: DTZ001 - as archives write it
    end = datetime(filters.until.year, filters.until.month, filters.until.day) + timedelta(days=1)  # noqa: DTZ001
    while first < end:
        after = min(first + FIRST_WINDOW, end)
        yield Window(first, after - _SHORTEST)
        first = after


def _question(filters: Filters, window: Window | None = None, accession: str = "") -> Dataset:
    asked = keys("STUDY", **dict.fromkeys(_BACK, ""))
    asked.StudyDate = window.dates if window else filters.days()
    asked.StudyTime = window.times if window else ""
    asked.AccessionNumber, asked.ModalitiesInStudy = accession, filters.modality
    return asked


def _believed(archive: Asked, asked: Dataset, said: set[tuple[str, str]]) -> tuple[list[Dataset], PeerFailed | None]:
    """The answers that are answers to the question, and how the archive ended where it failed."""
    believed: list[Dataset] = []
    failed = None
    try:
        for answer in archive.find(asked):
            uid = text(answer, "StudyInstanceUID")
            word = contradiction(asked, answer) or ("" if is_uid(uid) else "no_uid")
            if word:
                said.add((uid if is_uid(uid) else "", word))
            else:
                believed.append(answer)
    except PeerFailed as exc:
        failed = exc
    return believed, failed
