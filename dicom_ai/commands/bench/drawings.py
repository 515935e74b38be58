"""Real objects against what people drew by hand: IoU and tissue kept, with the IoU between two drawings as the ceiling.

What this is not: a place for pictures or names; a row holds figures and the object's file name.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dicom_ai.commands.bench.verdict import iou, outside, surviving, tissue
from dicom_ai.crop.child import crop
from dicom_ai.crop.examine import Asked
from dicom_ai.kept import Mask, mask_of

FRAMES = 8

Row = dict[str, Any]


def real(folder: Path, drawings: Sequence[Path], tell: Callable[[int], None]) -> list[Row]:
    """Crop every drawn acquisition once (copies of the same pixels are one).

    Args:
        folder: of the objects.
        drawings: JSON files of the same objects by different people; see `tests/drawings/README.md`.
        tell: called after each with how many there were.

    Returns:
        One row for each acquisition that is there.
    """
    drawn = [{tuple(sorted(one["files"])): one for one in json.loads(path.read_text("utf-8"))["objects"]}
             for path in drawings]  # fmt: skip
    rows = []
    for files, first in drawn[0].items():
        there = [folder / name for name in files if (folder / name).exists()]
        if there:
            others = [one for other in drawn[1:] for key, one in other.items() if set(key) & set(files)]
            rows.append(_row(there[0], [first, *others]))
            tell(len(rows))
    return rows


def _row(path: Path, drawn: Sequence[Row]) -> Row:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome, kept = crop(path, Asked(FRAMES))
    truths = [_mask(one) for one in drawn]
    row: Row = {
        "row": "real", "file": path.name, "status": outcome.status, "reason": outcome.reason,
        "shape": drawn[0]["shape"],
        "is_fit": all(bool(one["tissue"]) and bool(one["region_believable"]) and not one["must_quarantine"]
                      for one in drawn),
        "must_quarantine": any(one["must_quarantine"] for one in drawn),
        "text_on_tissue": any(one["text_on_tissue"] for one in drawn),
        "ceiling": iou(truths[0], truths[1]) if len(truths) > 1 else None, "iou": [], "tissue": [], "outside": 0,
    }  # fmt: skip
    if kept is not None:
        mask = surviving(outcome)
        row |= {"iou": [iou(mask, truth) for truth in truths], "tissue": [tissue(mask, truth) for truth in truths],
                "outside": outside(kept, mask), "text_left": _text_left(mask, drawn)}  # fmt: skip
    return row


def _mask(drawn: Row) -> Mask:
    polygons = [tuple((float(x), float(y)) for x, y in polygon) for polygon in drawn["polygons"]]
    return mask_of(polygons, drawn["rows"], drawn["columns"])


def _text_left(mask: Mask, drawn: Sequence[Row]) -> int:
    """Boxes that somebody drew around text on the tissue of which a third or more is in what is kept."""
    boxes = [[round(at) for at in box] for one in drawn for box in one.get("text_boxes", [])]
    return sum(bool(mask[y0:y1, x0:x1].mean() >= 1 / 3) for x0, y0, x1, y1 in boxes if x1 > x0 and y1 > y0)
