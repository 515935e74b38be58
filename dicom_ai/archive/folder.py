"""A folder of DICOM files that answers questions as an archive does, so that it is pulled from as one is.

Headers are read once; files that are no DICOM are passed over. What this is not: a PACS; nothing is called.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pydicom.dataset import Dataset

from dicom_ai.archive.answers import is_within, text
from dicom_ai.archive.contents import Series
from dicom_ai.archive.source import Take

_UNIQUE = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
_RANGES = ("StudyDate", "StudyTime")
_MATCHED = (*_UNIQUE.values(), "AccessionNumber", "Modality")
_KEPT = (
    *_MATCHED, *_RANGES, "PatientID", "StudyDescription", "Manufacturer", "ManufacturerModelName", "StationName",
    "SOPClassUID", "SpecificCharacterSet",
)  # fmt: skip

Read = Callable[[Path], Dataset | None]
"""A file -> its header without pixels, None where it cannot be read."""


class Folder:
    """The files below a folder."""

    def __init__(self, folder: Path, read: Read) -> None:
        """Name the folder, and what reads a header without its pixels; nothing is read yet."""
        self._folder, self._read = folder, read
        self._headers: list[tuple[Path, Dataset]] | None = None

    def find(self, asked: Dataset) -> Iterator[Dataset]:
        """See `pages.Asked`."""
        level = str(asked.QueryRetrieveLevel)
        seen: set[tuple[str, str]] = set()
        for _, ds in self._all():
            named = text(ds, _UNIQUE[level]), text(ds, "PatientID") if level == "STUDY" else ""
            if named not in seen and _matches(asked, ds):
                seen.add(named)
                answer = Dataset()
                answer.update({one.tag: ds[one.tag] for one in asked if one.tag in ds})
                yield answer

    def fetch(self, wanted: Series, take: Take, *, one_by_one: bool) -> None:
        """See `source.Source`."""
        for path, ds in self._all():
            uid = text(ds, "SOPInstanceUID")
            if uid in wanted.images and text(ds, "StudyInstanceUID") == wanted.study:
                take(path.read_bytes(), uid)

    def rest(self) -> None:
        """See `source.Source`."""

    def _all(self) -> list[tuple[Path, Dataset]]:
        if self._headers is None:
            self._headers = [
                (path, ds) for path in sorted(_files(self._folder)) if (ds := self._header(path)) is not None
            ]
        return self._headers

    def _header(self, path: Path) -> Dataset | None:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return None
        ds, kept = self._read(path), Dataset()
        if ds is not None:
            kept.update({ds[keyword].tag: ds[keyword] for keyword in _KEPT if keyword in ds})
        return kept if ds is not None else None


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):  # follows no link to another folder
        yield from (path for name in names if (path := Path(root, name)).is_file() and not path.is_symlink())


def _matches(asked: Dataset, ds: Dataset) -> bool:
    same = all(text(asked, name) in ("", text(ds, name)) for name in _MATCHED)
    return same and all(not text(asked, name) or is_within(text(asked, name), text(ds, name)) for name in _RANGES)
