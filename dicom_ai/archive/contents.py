"""What an archive says one study holds: its series, and the objects that are wanted of each.

Three levels of C-FIND (PS3.4 C.6.2), every answer held against the question. What this is not: the objects.
"""

from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from dicom_ai.archive.answers import contradiction, distinct, keys, text
from dicom_ai.archive.filters import Filters
from dicom_ai.archive.pages import Asked


@dataclass(frozen=True)
class Series:
    """Objects of one series that are wanted.

    Attributes:
        study, uid: of the study and the series.
        images: SOP Instance UID -> SOP Class UID as listed, "" where the archive does not say.
        is_all: whether nothing else is listed in it.
    """

    study: str
    uid: str
    images: dict[str, str]
    is_all: bool


@dataclass
class Contents:
    """What is wanted of a study, how many objects were listed beside it, and words for answers that were refused."""

    series: list[Series] = field(default_factory=list)
    beside: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def contents(archive: Asked, study: str, filters: Filters) -> Contents:
    """Ask what a study holds.

    Raises:
        PeerFailed and others as `archive.find`; nothing is known of the study then.
    """
    found, words = Contents(), list[str]()
    asked = keys(
        "SERIES", study, SeriesInstanceUID="", Modality=filters.modality,
        Manufacturer="", ManufacturerModelName="", StationName="", NumberOfSeriesRelatedInstances="",
    )  # fmt: skip
    answers = [one for one in _believed(archive, asked, found) if filters.wants_series(one)]
    counts = {text(one, "SeriesInstanceUID"): text(one, "NumberOfSeriesRelatedInstances") for one in answers}
    for uid in distinct(answers, "SeriesInstanceUID", words):
        asked = keys("IMAGE", study, SeriesInstanceUID=uid, SOPInstanceUID="", SOPClassUID="")
        listed = _believed(archive, asked, found)
        wanted = [one for one in listed if filters.wants_image(one)]
        uids = distinct(wanted, "SOPInstanceUID", words)
        classes = {text(one, "SOPInstanceUID"): text(one, "SOPClassUID") for one in reversed(wanted)}
        if counts[uid].isdecimal() and int(counts[uid]) > len(listed):
            words.append("cut_short")
        found.beside += len(listed) - len(wanted)
        if uids:
            found.series.append(Series(study, uid, {one: classes[one] for one in uids}, len(wanted) == len(listed)))
    found.refused += [("", word) for word in words]
    return found


def _believed(archive: Asked, asked: Dataset, found: Contents) -> list[Dataset]:
    believed = []
    for answer in archive.find(asked):
        word = contradiction(asked, answer)
        if word:
            found.refused.append((text(answer, "SOPInstanceUID"), word))
        else:
            believed.append(answer)
    return believed
