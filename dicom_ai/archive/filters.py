"""Which studies and objects are wanted: days, accession numbers, modality, device, station, description, kind.

Keys that every archive must match (PS3.4 C.6.2.1: dates, accession number, modality of a series) are asked for; the
others are asked back and looked at here, because an archive may know nothing of them. The object itself is looked at
last, and counts. What this is not: the asking.
"""

import csv
import fnmatch
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from dicom_ai.archive.answers import is_within, text, texts
from dicom_ai.instance import ULTRASOUND_CLASSES

_LONGEST_ACCESSION = 16  # VR SH, PS3.5 6.2


@dataclass(frozen=True)
class Filters:
    """What is wanted. Patterns know `*` and `?`, and no case; empty fields ask for nothing.

    Attributes:
        since, until: Study Date, both included; together or not at all.
        modality: of the series.
        device: pattern of Manufacturer and Manufacturer's Model Name with a space between.
        station: pattern of Station Name.
        description: pattern of Study Description.
        accessions: Accession Numbers; their studies alone.
        classes: SOP classes of the objects.
    """

    since: date | None = None
    until: date | None = None
    modality: str = "US"
    device: str = ""
    station: str = ""
    description: str = ""
    accessions: tuple[str, ...] = field(default=(), repr=False)
    classes: tuple[str, ...] = tuple(sorted(ULTRASOUND_CLASSES))

    def __post_init__(self) -> None:
        """Refuse what cannot be asked.

        Raises:
            ValueError: one day without the other, the last before the first, or neither days nor accession numbers.
        """
        if (self.since is None) != (self.until is None):
            raise ValueError("a first day needs a last one, and a last day a first one")
        if self.since is not None and self.until is not None and self.until < self.since:
            raise ValueError("the last day lies before the first")
        if self.since is None and not self.accessions:
            raise ValueError("say which days (--since, --until) or which accession numbers (--accessions)")

    def question(self) -> dict[str, Any]:
        """The same as JSON, by which a later run knows whether it goes on with this one."""
        told = asdict(self)
        return told | {name: told[name].isoformat() if told[name] else None for name in ("since", "until")}

    def days(self) -> str:
        """The days as a DICOM range, "" for all."""
        return f"{self.since:%Y%m%d}-{self.until:%Y%m%d}" if self.since and self.until else ""

    def wants_study(self, answer: Dataset) -> bool:
        """Whether a study may hold what is wanted, by an answer at study level; silence may be anything."""
        modalities = texts(answer, "ModalitiesInStudy")
        said = text(answer, "StudyDescription")
        return (not modalities or not self.modality or self.modality in modalities) and _fits(self.description, said)

    def wants_series(self, answer: Dataset) -> bool:
        """The same of a series."""
        return (
            text(answer, "Modality") in ("", self.modality or text(answer, "Modality"))
            and _fits(self.device, _device(answer))
            and _fits(self.station, text(answer, "StationName"))
        )

    def wants_image(self, answer: Dataset) -> bool:
        """The same of an object, as it is listed."""
        return text(answer, "SOPClassUID") in ("", *self.classes)

    def outside(self, ds: Dataset) -> str:
        """Why an object is not wanted, by its own header, where silence is no match; "" where it is.

        Returns:
            other_accession or other_date: the archive gave a study that it was not asked for. not_wanted: it is of
            another kind, device, station or description, about which it could not be asked.
        """
        if self.accessions and text(ds, "AccessionNumber") not in self.accessions:
            return "other_accession"
        if self.days() and not is_within(self.days(), text(ds, "StudyDate")):
            return "other_date"
        is_wanted = (
            self.modality in ("", text(ds, "Modality"))
            and text(ds, "SOPClassUID") in self.classes
            and _fits(self.device, _device(ds) or "-")
            and _fits(self.station, text(ds, "StationName") or "-")
            and _fits(self.description, text(ds, "StudyDescription") or "-")
        )
        return "" if is_wanted else "not_wanted"


def accessions_in(file: Path) -> tuple[str, ...]:
    """Accession numbers of a CSV file: of its column `accession` (or `AccessionNumber`), else of its only column.

    Raises:
        ValueError: no such column, no number at all, or one that no archive can hold; with the line, never the value.
        OSError: it cannot be read.
    """
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = [row for row in csv.reader(opened) if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError(f"{file} is empty")
    column, has_head = _column(rows[0], file)
    found: dict[str, None] = {}
    for number, row in enumerate(rows[has_head:], 1 + has_head):
        one = row[column].strip() if column < len(row) else ""
        if not one or len(one) > _LONGEST_ACCESSION or not one.isprintable() or set(one) & set("*?\\"):
            raise ValueError(f"{file}, row {number}: no accession number (1 to 16 characters, no * ? or backslash)")
        found[one] = None
    if not found:
        raise ValueError(f"{file} holds no accession number")
    return tuple(found)


def _column(head: Sequence[str], file: Path) -> tuple[int, int]:
    names = [cell.strip().lower().replace("_", "").replace(" ", "") for cell in head]
    for name in ("accession", "accessionnumber"):
        if name in names:
            return names.index(name), 1
    if len(head) == 1:
        return 0, 0
    raise ValueError(f"{file} has several columns and none is called accession")


def _device(ds: Dataset) -> str:
    return " ".join(filter(None, (text(ds, "Manufacturer"), text(ds, "ManufacturerModelName"))))


def _fits(pattern: str, said: str) -> bool:
    if not pattern or not said:
        return True
    return fnmatch.fnmatchcase(said.casefold(), pattern.casefold().replace("[", "[[]"))
