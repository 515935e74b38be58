"""Answers without a network: contents and captures of drawn headers, put into a real ledger and delivered for real.

What this is not: an analysis. It stands in where only the way of results is looked at.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_ai.report.capture import Shown, capture
from dicom_ai.report.content import ReportContent
from dicom_ai.report.header import file_meta, part10
from dicom_ai.site import Destination, SiteTables
from dicom_ai.store import analyses
from dicom_ai.store.database import write
from tests.builders_report import BOX, linked, lung, source
from tests.workplace import Received, Workplace, workplace


def stored_source(number: int, frames: int = 1) -> Dataset:
    """A header as an object that can be received; without pixels, which nobody looks at here."""
    ds = source(number, frames=frames)
    ds.file_meta = file_meta(ds, ExplicitVRLittleEndian)
    return ds


def drawn(content: ReportContent, headers: Sequence[Dataset]) -> tuple[ReportContent, list[Dataset]]:
    """A capture of each image, every frame of another grey, and the content that refers to them."""
    made = []
    for index, header in enumerate(headers):
        n_frames = int(header.get("NumberOfFrames") or 1)
        grey = (20 * np.arange(1, n_frames + 1)).astype(np.uint8)
        frames = np.broadcast_to(grey[:, None, None, None], (n_frames, int(header.Rows), int(header.Columns), 3))
        shown = Shown(np.ascontiguousarray(frames), tuple(range(1, n_frames + 1)), "b_lines", index, BOX)
        made.append(capture(content.analysis, header, shown))
        content = linked(content, made[-1], index, "b_lines")
    return content, made


def formed(folder: Path, *destinations: Destination) -> Workplace:
    """A workplace that neither crops nor classifies."""
    return workplace(folder / "data", None, [], site=SiteTables(destinations=destinations))  # type: ignore[arg-type]


def answer(work: Workplace, *fresh: Dataset, before: Sequence[Dataset] = (), language: str = "en") -> ReportContent:
    """Receive objects, answer their study for all of them and those before; what was said."""
    work.receive(*fresh)
    set_id = work.closed_set()
    headers = [*before, *fresh]
    content = lung(headers, language)
    key = f"{len(headers):02x}" * 32
    analysis = dataclasses.replace(content.analysis, key=key, revision=len(before) + 1)
    content, captures = drawn(dataclasses.replace(content, analysis=analysis), headers)
    rows = [
        {
            "uid": str(ds.SOPInstanceUID),
            "sop_class": str(ds.SOPClassUID),
            "digest": work.here.files.write_result(part10(ds)),
        }
        for ds in captures
    ]
    with write(work.here.engine) as connection:
        saved = analyses.Analysis(key, set_id, work.here.clock(), content.to_json())
        analyses.save_analysis(connection, saved, card=None, captures=rows)
    work.story.queue_results(set_id, key)
    return content


def kept(peer: Received) -> list[Dataset]:
    """Everything a peer keeps, in the order of the UIDs."""
    return [dcmread(path) for path in sorted(peer.folder.rglob("*.dcm"))]
