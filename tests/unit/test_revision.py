"""A revision: the new image alone is cropped and scored, the report is over all of them and names the one before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.scored import Scored
from dicom_ai.crop.cropper import Cropper
from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.site import SiteTables
from dicom_ai.store import tables
from tests.workplace import destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)


class Counting(Classifier):
    """Counts what it is shown."""

    shown = 0

    def score(self, kept: Kept) -> Scored:
        Counting.shown += 1
        return super().score(kept)


class CountingCropper:
    """Counts what it is asked for."""

    def __init__(self, real: Cropper) -> None:
        self.real, self.asked = real, list[str]()
        self.approved = real.approved

    def crop(self, path: Path, *arguments: Any) -> tuple[CropOutcome, Kept | None]:
        self.asked.append(path.stem)
        return self.real.crop(path, *arguments)


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.mark.parametrize("thresholds", [(0.999, 0.999), (0.01, 0.99)], ids=["no finding", "a finding"])
def test_a_revision_scores_only_what_is_new(tmp_path: Path, cropper: Cropper, thresholds: tuple[float, float]) -> None:
    counted: Any = CountingCropper(cropper)
    first, late = lung()
    with pacs(tmp_path / "pacs") as peer:
        work = workplace(
            tmp_path / "data",
            counted,
            [tiny(tmp_path / "model", thresholds)],
            site=SiteTables(destinations=(destination(peer.port, forward="none"),)),
            load=lambda one: Counting(one.folder, device="cpu"),
        )
        work.answered(first)
        work.deliver()
        (scored,), counted.asked, Counting.shown = work.rows(tables.scores), [], 0
        work.answered(late)
        work.deliver()
        before, after = peer.reports()
    of_first = [digest for digest in counted.asked if digest == scored.object]
    # every image is drawn anew into a capture of the new report: its pixels are kept nowhere, so it is cropped again,
    # and where it shows a finding so is the heat; its score is not taken from that
    has_heat = int(thresholds[0] < 0.5)
    assert (len(of_first), len(counted.asked), Counting.shown) == (1, 2, 1 + has_heat)
    assert scored in work.rows(tables.scores)
    assert len(work.rows(tables.scores)) == 2
    (replaced,) = after.PredecessorDocumentsSequence
    (named,) = (item for series in replaced.ReferencedSeriesSequence for item in series.ReferencedSOPSequence)
    assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert {str(first.SOPInstanceUID), str(late.SOPInstanceUID)} <= referenced(after)
    assert str(late.SOPInstanceUID) not in referenced(before)


def referenced(report: Any) -> set[str]:
    """Every SOP Instance UID the report names as evidence."""
    studies = [*report.get("CurrentRequestedProcedureEvidenceSequence", [])]
    return {
        str(item.ReferencedSOPInstanceUID)
        for study in studies
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
