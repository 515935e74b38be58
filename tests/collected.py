"""Folders of pictures drawn for tests of `train collect`, and data sets without pictures worth looking at."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dicom_ai.simulate import phantom
from train.tables import FRAMES, SHAPES, Clip, DataSet, write_manifest

TASK = "lung-signs"
CLASSES = ("a_lines", "b_lines", "pleural_effusion", "consolidation")


def picture(seed: int, *labels: str, size: tuple[int, int] = (240, 300)) -> np.ndarray:
    """A drawn lung, cut to its sector as a publisher would: uint8 (h, w)."""
    drawn = phantom.lung(seed, labels=list(labels), size=size)
    ys, xs = np.flatnonzero(drawn.sector_mask.any(axis=1)), np.flatnonzero(drawn.sector_mask.any(axis=0))
    kept = drawn.frames[0] * drawn.sector_mask
    return np.ascontiguousarray(kept[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1], np.uint8)


def written_on(grey: np.ndarray, text: str = "DOE JANE 1961") -> np.ndarray:
    """The picture with a line of text across it."""
    out = grey.copy()
    cv2.putText(out, text, (out.shape[1] // 8, out.shape[0] // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1, cv2.LINE_AA)
    return out


def save(path: Path, grey: np.ndarray) -> None:
    """As PNG or JPEG, by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), grey)


def save_clip(path: Path, greys: Sequence[np.ndarray]) -> None:
    """As MPEG-2 in MP4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = greys[0].shape[1] // 2 * 2, greys[0].shape[0] // 2 * 2
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mpg2"), 25, size)
    for grey in greys:
        writer.write(cv2.cvtColor(np.ascontiguousarray(grey[: size[1], : size[0]]), cv2.COLOR_GRAY2BGR))
    writer.release()


def save_table(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """As CSV; the columns are those of the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def clip(number: int, patient: str, *, first: int = 0, frames: int = 1, **changes: Any) -> Clip:
    """A clip that names its number and its patient."""
    labels = changes.pop("labels", {"a_lines": 1.0, "b_lines": 0.0, "pleural_effusion": 0.0, "consolidation": 0.0})
    values = {"source": "ours", "device": "", "probe": "", "labels": labels, "single_sign": True}
    values |= {"cropped_by": "test", "origin": f"{number:064x}"} | changes
    return Clip(id=f"{number:024x}", patient=patient, first=first, frames=frames, **values)


def data_set(folder: Path, patients: Sequence[str], *, frames: int = 2, **changes: Any) -> DataSet:
    """One clip for every entry of `patients`, without arrays."""
    clips = tuple(clip(n, name, first=n * frames, frames=frames, **changes) for n, name in enumerate(patients))
    return DataSet(folder, TASK, CLASSES, clips, {})


def store(made: DataSet, squares: np.ndarray) -> DataSet:
    """Write a data set with these frames."""
    made.folder.mkdir(parents=True, exist_ok=True)
    np.save(made.folder / FRAMES, squares)
    np.save(made.folder / SHAPES, np.full((len(squares), 2), squares.shape[1], np.int32))
    write_manifest(made)
    return made
