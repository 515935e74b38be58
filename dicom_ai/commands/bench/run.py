"""Makes the objects, sends each through the crop as a file, and compares a share of them with the decoding child.

What this is not: output; the command prints what comes from here.
"""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from dicom_ai.commands.bench import baselines
from dicom_ai.commands.bench.cases import LEGITIMATE, Case, cases
from dicom_ai.commands.bench.exported import Exports
from dicom_ai.commands.bench.subject import Subject, Which, subject
from dicom_ai.commands.bench.verdict import Verdict, iou, tissue, trace, verdict
from dicom_ai.crop.child import crop
from dicom_ai.crop.cropper import Cropper
from dicom_ai.crop.examine import Asked
from dicom_ai.errors import SettingsError
from dicom_ai.kept import CropOutcome, Kept, Mask

CHILD_EVERY = 40
"""Each so manieth object goes through a decoding child too, and both must say and keep the same."""

DEID_EVERY = 12

_FRAMES = 1 << 20  # every frame is kept


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        objects: painted objects to make, >= 1; their clean twins come on top.
        seed: of everything.
        which: screens.
        only: one subject's number instead.
        exports: accepted objects that are exported as well, about so many.
    """

    objects: int
    seed: int
    which: Which = "all"
    only: int | None = None
    exports: int = 0


def which_of(word: str) -> Which:
    """The screens a word stands for.

    Raises:
        SettingsError: it stands for none.
    """
    known: tuple[Which, ...] = ("known", "drawn", "all")
    for which in known:
        if word == which:
            return which
    raise SettingsError(f"no screens {word!r}; use {', '.join(known)}")


@dataclass(frozen=True)
class Seen:
    """One object and what became of it; pixels are there until the next one comes."""

    case: Case = field(repr=False)
    outcome: CropOutcome
    kept: Kept | None = field(repr=False)
    verdict: Verdict


@dataclass
class Baseline:
    """What another way let through: by place (objects, with a leak), and of clean ones the fit."""

    seen: Counter[str] = field(default_factory=Counter)
    leaks: Counter[str] = field(default_factory=Counter)
    fits: list[tuple[float, float]] = field(default_factory=list)
    has_fit: bool = True
    failed: int = 0

    def add(self, case: Case, mask: Mask | None) -> None:
        """Count one object; None is a refusal or a failure."""
        if mask is None:
            self.failed += 1
            return
        truth, painted = case.subject.shown.sector_mask, case.painted
        if painted is None and self.has_fit:
            self.fits.append((iou(mask, truth), tissue(mask, truth)))
        elif painted is not None and painted.is_legible:
            self.seen[painted.place] += 1
            self.leaks[painted.place] += trace(painted, mask, tuple(range(len(painted.frames)))).leaked > 0


class Bench:
    """One run.

    Args:
        plan: of it.
        folder: an empty one for the objects; each is removed once looked at.
        cropper: decoding children for a share of the objects; None leaves that out.
    """

    def __init__(self, plan: Plan, folder: Path, cropper: Cropper | None) -> None:
        self._plan, self._folder, self._cropper = plan, folder, cropper
        self.baselines = {baselines.REGION: Baseline(), baselines.FIXED: Baseline()}
        if baselines.has_deid():
            self.baselines[baselines.DEID] = Baseline(has_fit=False)
        self.by_child = self.differ = self._count = 0
        self.exports = Exports(folder / "exports") if plan.exports else None
        self._chance = np.random.default_rng([plan.seed, 0xE7])

    def run(self, tell: Callable[[int], None]) -> Iterator[Seen]:
        """Every object of the plan; `tell` hears how many painted ones were made."""
        painted = 0
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            for one in self._subjects():
                for case in cases(one):
                    yield self._through(case)
                    painted += case.painted is not None
                    tell(painted)
                if painted >= self._plan.objects:
                    return
        finally:
            cv2.setNumThreads(threads)

    @property
    def _share(self) -> float:
        return self._plan.exports / self._plan.objects

    def _subjects(self) -> Iterator[Subject]:
        if self._plan.only is not None:
            yield subject(self._plan.seed, self._plan.only, self._plan.which)
            return
        number = 0
        while True:
            yield subject(self._plan.seed, number, self._plan.which)
            number += 1

    def _through(self, case: Case) -> Seen:
        path = self._folder / f"{self._count}.dcm"
        case.ds.save_as(path, enforce_file_format=True)
        try:
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as the decoding child does
                outcome, kept = crop(path, Asked(_FRAMES))
            ms = 1000 * (time.perf_counter() - begin)
            self._compare(path, outcome, kept)
            self._others(case, path)
            if self.exports is not None and kept is not None and self._chance.random() < self._share:
                self.exports.add(case, path, outcome, kept)
        finally:
            path.unlink()
        self._count += 1
        return Seen(case, outcome, kept, verdict(case, outcome, kept, ms))

    def _compare(self, path: Path, outcome: CropOutcome, kept: Kept | None) -> None:
        if self._cropper is None or self._count % CHILD_EVERY:
            return
        other, pixels = self._cropper.crop(path, _FRAMES)
        self.by_child += 1
        is_equal = other.row() == CropOutcome.of(outcome.row()).row() and (pixels is None) == (kept is None)
        if is_equal and pixels is not None and kept is not None:
            is_equal = np.array_equal(pixels.frames, kept.frames)
        self.differ += not is_equal

    def _others(self, case: Case, path: Path) -> None:
        """The other ways, on the same objects."""
        self.baselines[baselines.REGION].add(case, baselines.region_box(case.ds))
        self.baselines[baselines.FIXED].add(case, baselines.fixed_rectangle(case.ds))
        place = case.painted and case.painted.place
        if (
            baselines.DEID in self.baselines
            and self._count % DEID_EVERY == 0
            and (place is None or place in LEGITIMATE)
        ):
            frames = case.subject.shown.frames if case.painted is None else case.painted.frames
            mask = baselines.by_deid(path, frames)
            self.baselines[baselines.DEID].add(case, mask)
