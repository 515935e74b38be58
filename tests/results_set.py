"""A study's sources, report and captures that belong together, as headers read back from their files."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.report.capture import Shown, capture
from dicom_ai.report.content import ReportContent
from dicom_ai.report.header import file_meta, part10
from dicom_ai.report.structured import SR_CLASSES, structured_report
from tests.builders_report import BOX, linked, lung, source, uterus


@dataclass
class ResultSet:
    """Data sets with their File Meta Information."""

    sources: list[Dataset]
    report: Dataset
    captures: list[Dataset]

    @property
    def all(self) -> list[Dataset]:
        """Everything, as a PACS would hold it."""
        return [*self.sources, self.report, *self.captures]


def result_set(
    kind: str = "lung", frames: int = 1, *, language: str = "en", sop_class: str = SR_CLASSES[0], **values: object
) -> ResultSet:
    """Two images of a study with report and captures; `values` go into both source headers."""
    headers = [source(number, frames, rows=480, columns=640, **values) for number in (1, 2)]
    content: ReportContent = (lung if kind == "lung" else uterus)(headers, language)
    captures = []
    for index, header in enumerate(headers):
        numbers = tuple(range(1, frames + 1))
        pictures = np.zeros((frames, 480, 640, 3), np.uint8)
        class_id = (
            content.images[index].key_frames[0].regions[0][0] if content.images[index].key_frames[0].regions else None
        )
        made = capture(content.analysis, header, Shown(pictures, numbers, class_id, index, BOX))
        content = linked(content, made, index, class_id)
        captures.append(made)
    report = structured_report(content, headers, captures, sop_class=sop_class)
    for header in headers:
        header.file_meta = file_meta(header, "1.2.840.10008.1.2.1")
    return ResultSet([read(h) for h in headers], read(report), [read(c) for c in captures])


def read(ds: Dataset) -> Dataset:
    """As it comes from its file."""
    return dcmread(BytesIO(part10(ds)), stop_before_pixels=True)
