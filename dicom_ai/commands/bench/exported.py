"""A sample of accepted objects through the export, as `crop --export` writes them: what the proof says, and what of
the painted text is in the written file.

The second reading matters: it looks at the pixels of the file and nowhere else. What this is not: the proof.
"""

import secrets
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread

from dicom_ai.commands.bench.cases import Case
from dicom_ai.commands.bench.verdict import surviving, trace
from dicom_ai.commands.exporting import Exporter
from dicom_ai.crop.ocr import Reader
from dicom_ai.kept import CropOutcome, Kept, Mask


class Exports:
    """Exports objects one by one into a folder and counts.

    Args:
        folder: emptied by whoever made it.
    """

    def __init__(self, folder: Path) -> None:
        self._exporter = Exporter(folder, secrets.token_hex(32), Reader())
        self._ends: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._leaks = self._outside = 0
        self._ms: dict[str, list[float]] = {"still": [], "clip": []}

    def add(self, case: Case, path: Path, outcome: CropOutcome, kept: Kept) -> None:
        """Export one accepted object."""
        begin = time.perf_counter()
        after, written = self._exporter.add(path, outcome, kept)
        self._ms["clip" if len(kept.frames) > 1 else "still"].append(1000 * (time.perf_counter() - begin))
        self._ends["written" if written else str(after.reason)] += 1
        self._failures.update((after.votes or {}).get("proof", ()))
        if written is None:
            return
        shown, mask = _shown(written, outcome), surviving(outcome)
        self._outside += int(np.count_nonzero(shown & ~mask))
        if case.painted is not None:
            frames = tuple(number - 1 for number in kept.frame_numbers)
            self._leaks += trace(case.painted, shown, frames).leaked > 0

    def row(self) -> dict[str, Any]:
        """What became of the sample."""
        return {
            "row": "export", "objects": self._ends.total(), "written": 0, **self._ends,
            "failures": dict(self._failures), "leaks": self._leaks, "outside": self._outside,
            "ms_still": _median(self._ms["still"]), "ms_clip": _median(self._ms["clip"]),
        }  # fmt: skip


def _shown(path: Path, outcome: CropOutcome) -> Mask:
    """Pixels that are not black on some frame of a written file, at their place on the source's screen."""
    assert outcome.box is not None  # noqa: S101 - a cropped outcome has one
    x0, y0, x1, y1 = outcome.box
    pixels = np.asarray(dcmread(path).pixel_array).reshape(-1, y1 - y0, x1 - x0, *_samples(path))
    lit = (pixels != 0).any(axis=0)
    screen = np.zeros((outcome.rows, outcome.columns), np.bool_)
    screen[y0:y1, x0:x1] = lit if lit.ndim == 2 else lit.any(axis=2)
    return screen


def _samples(path: Path) -> tuple[int, ...]:
    count = int(dcmread(path, stop_before_pixels=True).SamplesPerPixel)
    return () if count == 1 else (count,)


def _median(values: list[float]) -> float | None:
    return round(statistics.median(values), 1) if values else None
