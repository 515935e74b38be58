"""The two tables that the steps of training hand to one another: what was collected, and what a network said of it.

`collect` and `label` make a data set, `split` divides it, `fit` learns from it, `evaluate` judges predictions. Nothing
here names a patient: a patient is a keyed hash. What this is not: reading or writing pictures of any other format.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

MANIFEST, FRAMES, SHAPES = "manifest.json", "frames.npy", "shapes.npy"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Clip:
    """One still or clip of a data set.

    Attributes:
        id: hex, from the digest of what was collected; the same file is the same clip wherever it lies.
        patient: keyed hash, hex; clips of one patient or of one recording share it.
        source: name of the collection.
        device, probe: as far as known, else "".
        labels: class id -> 1.0 present, 0.0 absent; a class that nobody asked about is missing.
        single_sign: exactly one sign is present and it is known that no other is.
        first, frames: its rows in the frames' array.
        cropped_by: "dicom_ai" or what the folder declared.
        origin: SHA-256 hex of the file or DICOM data set.
        name: file name relative to the collection's folder when that names nobody, else "".
    """

    id: str
    patient: str
    source: str
    device: str
    probe: str
    labels: dict[str, float]
    single_sign: bool
    first: int
    frames: int
    cropped_by: str
    origin: str
    name: str = ""


@dataclass(frozen=True)
class DataSet:
    """A folder with `manifest.json`, `frames.npy` and `shapes.npy`.

    Attributes:
        folder: of it.
        task: "lung-signs" or "uterine-lesions".
        class_ids: in the order of the label columns.
        clips: in the order of their frames.
        facts: whatever else the manifest states: how it was made, what was left out and why.
    """

    folder: Path
    task: str
    class_ids: tuple[str, ...]
    clips: tuple[Clip, ...]
    facts: dict[str, Any]

    @cached_property
    def frames(self) -> Grey:
        """uint8 (F, S, S), mapped from disk: kept pixels, grey, letterboxed into squares, fill 0."""
        return np.asarray(np.load(self.folder / FRAMES, mmap_mode="r"))

    @cached_property
    def shapes(self) -> npt.NDArray[np.int32]:
        """int32 (F, 2): rows and columns of each picture before it was letterboxed."""
        return np.asarray(np.load(self.folder / SHAPES, mmap_mode="r"))

    @cached_property
    def labels(self) -> Floats:
        """float32 (clips, K): 1, 0 or NaN where nobody asked."""
        rows = [[clip.labels.get(name, np.nan) for name in self.class_ids] for clip in self.clips]
        return np.asarray(rows, np.float32).reshape(len(self.clips), len(self.class_ids))

    @property
    def digest(self) -> str:
        """SHA-256 hex over task, classes and every clip: changes exactly when something that can be learned does."""
        told = {"task": self.task, "classes": self.class_ids, "clips": [asdict(clip) for clip in self.clips]}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_data_set(folder: Path) -> DataSet:
    """Read a manifest.

    Raises:
        FileNotFoundError: there is none; make one with `python -m train collect`.
        ValueError: of another schema version.
    """
    told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if told.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"{folder / MANIFEST} has schema_version {told.get('schema_version')!r}, not {SCHEMA_VERSION}")
    clips = tuple(Clip(**one) for one in told["clips"])
    return DataSet(folder, told["task"], tuple(told["class_ids"]), clips, told["facts"])


def write_manifest(made: DataSet) -> None:
    """Write `manifest.json`; the arrays are written by who made them."""
    told = {"schema_version": SCHEMA_VERSION, "task": made.task, "class_ids": made.class_ids, "digest": made.digest,
            "facts": made.facts, "clips": [asdict(clip) for clip in made.clips]}  # fmt: skip
    (made.folder / MANIFEST).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Predictions:
    """What a network said of N frames that it did not learn from.

    Attributes:
        class_ids: K of them. head: "sigmoid" or "softmax".
        logits: float32 (N, K), before calibration.
        truth: float32 (N, K): 1, 0, NaN where nobody asked.
        clip, patient, source, device, probe: str (N,).
        frame: int (N,), 1-based number in its clip.
        fold: int (N,), which part of a cross-validation; 0 where there is one test set.
        features: float32 (N, D), the last pooled features; D 0 where they were not kept.
    """

    class_ids: tuple[str, ...]
    head: str
    logits: Floats
    truth: Floats
    clip: npt.NDArray[np.str_]
    patient: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]
    device: npt.NDArray[np.str_]
    probe: npt.NDArray[np.str_]
    frame: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]
    features: Floats

    def write(self, file: Path) -> None:
        """As one .npz without pickled objects."""
        np.savez_compressed(file, **{name: np.asarray(value) for name, value in vars(self).items()})  # type: ignore[arg-type]


def read_predictions(file: Path) -> Predictions:
    """Read what `Predictions.write` wrote."""
    with np.load(file, allow_pickle=False) as stored:
        told = {name: stored[name] for name in stored.files}
    return Predictions(**told | {"class_ids": tuple(map(str, told["class_ids"])), "head": str(told["head"])})


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several folds as one; class ids and head are those of the first."""
    first = parts[0]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in parts])
        for name, value in vars(first).items()
        if isinstance(value, np.ndarray)
    }
    return replace(first, **columns)
