"""What an archive says it holds of one study: C-FIND level by level, every answer held against the question.

An answer outside of what was asked (another study, another modality, a UID that is none, the same twice) is set aside
with a word for it and never followed: an archive that answers wrongly once must not lead us to another patient. What
this is not: the documents themselves (`retrieve`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from pydicom.dataset import Dataset

from dicom_ai.archive.answers import contradiction, distinct, keys, text
from dicom_ai.archive.association import ArchiveAssociation
from dicom_ai.errors import PeerUnreachable
from dicom_ai.instance import STRUCTURED_REPORTS

MOST_ANSWERS = 1000
"""To one query inside of one study; an archive with more to say is not believed at all."""

IsHis = Callable[[Dataset], bool]
"""Whether an answer at study level names the patient that the study is of; True where it names none."""


@dataclass(frozen=True)
class Document:
    """A structured report as an archive lists it; its content may be anything."""

    study: str
    series: str
    uid: str


@dataclass
class Holding:
    """What an archive says of a study.

    Attributes:
        is_there: whether it holds the study at all.
        documents: structured reports of the classes a verdict may have (or of no stated class), in the order given.
        refused: words for answers outside of what was asked: other_study, other_patient, other_series,
            other_modality, other_level, no_uid, repeated.
    """

    is_there: bool = False
    documents: list[Document] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def holding(archive: ArchiveAssociation, study: str, is_his: IsHis) -> Holding:
    """Ask for the structured reports of a study.

    Args:
        archive: an association with it.
        study: Study Instance UID.
        is_his: of the patient.

    Raises:
        PeerUnreachable, PeerRefused, PeerFailed: as `ArchiveAssociation.find`; nothing is known of the study then.
    """
    found = Holding()
    at_study = _ask(archive, keys("STUDY", study, PatientID="", ModalitiesInStudy=""), found.refused)
    found.is_there = bool(at_study)
    if any(not is_his(answer) for answer in at_study):
        found.refused.append("other_patient")
        return found
    if not at_study:
        return found
    asked = keys("SERIES", study, SeriesInstanceUID="", Modality="SR")
    for series in distinct(_ask(archive, asked, found.refused), "SeriesInstanceUID", found.refused):
        asked = keys("IMAGE", study, SeriesInstanceUID=series, SOPInstanceUID="", SOPClassUID="")
        answers = [one for one in _ask(archive, asked, found.refused) if _may_be_a_verdict(one)]
        uids = distinct(answers, "SOPInstanceUID", found.refused)
        found.documents += [Document(study, series, uid) for uid in uids]
    return found


def _ask(archive: ArchiveAssociation, asked: Dataset, refused: list[str]) -> list[Dataset]:
    """The answers that are answers to the question."""
    answers = list(islice(archive.find(asked), MOST_ANSWERS + 1))
    if len(answers) > MOST_ANSWERS:
        archive.abort()
        raise PeerUnreachable(f"more than {MOST_ANSWERS} answers to one query about one study")
    words = [(contradiction(asked, answer), answer) for answer in answers]
    refused += [word for word, _ in words if word]
    return [answer for word, answer in words if not word]


def _may_be_a_verdict(answer: Dataset) -> bool:
    return text(answer, "SOPClassUID") in ("", *STRUCTURED_REPORTS)
