"""Drawn studies and what the command `analyse` made of them: two stills, and a clip that shows its signs late.

The clip is quiet, then shows A-lines, then B-lines, so that the frames its report is about are none a viewer opens
by itself. What this is not: pictures of people.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from dicom_ai.commands import offline
from dicom_ai.report.header import part10
from dicom_ai.settings import Settings, Site, Store
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.patients import patient_of

SEED = 11
PART = 4
"""Frames of each part of the clip."""


@dataclass(frozen=True)
class Study:
    """Files of one study and the data sets of its results."""

    files: tuple[Path, ...]
    sources: tuple[Dataset, ...]
    report: Dataset
    captures: tuple[Dataset, ...]

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return str(self.report.StudyInstanceUID)


def stills(folder: Path) -> Study:
    """Two stills with different signs."""
    shots = (Shot(frozenset({"b_lines"})), Shot(frozenset({"a_lines"})))
    return _analysed(tuple(_drawn(SEED, *shots)), folder, "en")


def clip(folder: Path, language: Literal["en", "zh"] = "zh") -> Study:
    """One JPEG clip of 12 frames: 1..4 without a sign, 5..8 with A-lines, 9..12 with B-lines."""
    shots = (Shot(frozenset(labels), frames=PART) for labels in ((), ("a_lines",), ("b_lines",)))
    parts = [_drawn(SEED + 1, shot).objects[0] for shot in shots]
    whole = parts[0]
    frames = [frame for part in parts for frame in generate_frames(part.PixelData, number_of_frames=PART)]
    whole.PixelData = encapsulate(frames)
    whole.NumberOfFrames = len(frames)
    return _analysed((whole,), folder, language)


def _drawn(seed: int, *shots: Shot) -> Exam:
    return exam("lung", seed=seed, patient=patient_of(seed), content=shots)


def _analysed(objects: tuple[Dataset, ...], folder: Path, language: Literal["en", "zh"]) -> Study:
    paths = []
    for number, ds in enumerate(objects):
        paths.append(folder / f"source{number}.dcm")
        paths[-1].write_bytes(part10(ds))
    settings = Settings(store=Store(data=folder / "none"), site=Site(language=language))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed = offline.analyse(
            offline.Request(tuple(paths), folder / "out", "lung-signs", None, None), settings, as_json=True
        )
    assert failed == 0
    made = [(path, dcmread(path)) for path in sorted((folder / "out").glob("*.dcm"))]
    (report,) = (ds for _, ds in made if ds.Modality == "SR")
    captures = tuple(ds for _, ds in made if ds.Modality == "OT")
    return Study((*paths, *(path for path, _ in made)), objects, report, captures)
