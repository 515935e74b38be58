"""The crop of the real objects against two hand drawings of their scan areas, which were made before it and apart."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicom_ai.crop.cropper import Cropper
from dicom_ai.kept import CropOutcome, mask_of

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "us"
DRAWINGS = [
    json.loads((Path(__file__).parents[1] / "drawings" / f"{name}.json").read_text(encoding="utf-8"))["objects"]
    for name in ("first", "second")
]
FILES = sorted(FOLDER.glob("*.dcm"))

pytestmark = pytest.mark.skipif(not FILES, reason=f"the real objects are not there ({FOLDER})")


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, CropOutcome]]:
    with Cropper(children=1, memory_mib=768, timeout_s=30.0, recycle_after=100) as cropper:
        yield {file.name: cropper.crop(file, 8)[0] for file in FILES}


def drawn(name: str) -> list[dict[str, Any]]:
    return [one for objects in DRAWINGS for one in objects if name in one["files"]]


def iou(outcome: CropOutcome, one: dict[str, Any]) -> float:
    size = outcome.rows, outcome.columns
    keep = mask_of(outcome.keep, *size)
    truth = mask_of([tuple((x, y) for x, y in polygon) for polygon in one["polygons"]], *size)
    return float((keep & truth).sum() / (keep | truth).sum())


def test_what_both_drawers_would_hold_back_is_held_back(outcomes: dict[str, CropOutcome]) -> None:
    held = [name for name in outcomes if all(one["must_quarantine"] for one in drawn(name))]
    assert len(held) >= 5
    assert {name: outcomes[name].status for name in held} == dict.fromkeys(held, "quarantined")


def test_what_is_cropped_is_what_was_drawn(outcomes: dict[str, CropOutcome], figure: Callable[..., None]) -> None:
    cropped = {name: outcome for name, outcome in outcomes.items() if outcome.status == "cropped"}
    assert cropped
    for name, outcome in cropped.items():
        assert min(iou(outcome, one) for one in drawn(name)) >= 0.90, name
    first = {one["files"][0]: one for one in DRAWINGS[0]}
    judged = [name for name, one in first.items() if one["tissue"] and one["region_believable"]]
    ious = sorted(iou(cropped[name], first[name]) for name in judged if name in cropped)
    figure(
        "crop of real acquisitions with tissue and a believable region",
        f"{len(ious)} of {len(judged)} accepted, IoU to the first drawing {np.round(ious, 3).tolist()}",
        "aim 60 % at IoU >= 0.90",
    )
