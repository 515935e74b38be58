"""One still or clip -> squares of grey, or the reason why it is left out; kept in a work folder once it is done.

After an end of any kind the next run finds what was finished. What this is not: knowledge of labels or patients; a
file of the work folder holds pixels and a reason, so that other labels need no second look at the pixels.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dicom_ai.crop.cropper import Cropper
from dicom_ai.cropping import PIPELINE_VERSION
from models.card import Input
from models.preprocess import letterboxed
from train.collect_plan import Unit
from train.folder import BLACK, UnreadablePicture, read_frames
from train.folder_crop import Refused, cropped

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sizes:
    """What decides how pixels are stored.

    Attributes:
        size: edge of the squares, pixels.
        frames: most frames of a clip.
    """

    size: int
    frames: int

    @property
    def digest(self) -> str:
        """Changes whenever finished work may not be used again."""
        told = asdict(self) | {"pipeline": PIPELINE_VERSION, "black": BLACK}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Done:
    """What became of one unit.

    Attributes:
        squares: uint8 (T, S, S), T 0 where it is left out.
        shapes: int32 (T, 2), rows and columns before letterboxing.
        black: frames dropped because they were black.
        reason: "" or why it is left out.
    """

    squares: Grey
    shapes: npt.NDArray[np.int32]
    black: int
    reason: str


class Bench:
    """Does the work, or finds it done.

    Args:
        folder: of finished work; made when it is not there.
        sizes: of what is made.
        cropper: of the service.
        looked_at: ids of units that a person has looked at and found free of text.
    """

    def __init__(self, folder: Path, sizes: Sizes, cropper: Cropper, looked_at: frozenset[str] = frozenset()) -> None:
        self._folder, self._sizes = folder / f"work-{sizes.digest}", sizes
        self._folder.mkdir(parents=True, exist_ok=True)
        self._cropper, self._looked_at = cropper, looked_at

    def done(self, unit: Unit) -> Done:
        """The unit's squares; from disk where an earlier run finished it."""
        suffix = "-looked-at" if unit.id in self._looked_at else ""
        file = self._folder / f"{unit.id}{suffix}.npz"
        if not file.exists():
            _write(file, self._worked(unit))
        with np.load(file, allow_pickle=False) as stored:
            return Done(stored["squares"], stored["shapes"], int(stored["black"]), str(stored["reason"]))

    def _worked(self, unit: Unit) -> Done:
        try:
            if unit.is_dicom:
                return self._of_dicom(unit)
            read = read_frames(unit.paths, self._sizes.frames)
            if not read.frames:
                return self._nothing("black", read.black)
            pixels = cropped(read.frames, is_looked_at=unit.id in self._looked_at)
            return self._squares(pixels, read.black)
        except (UnreadablePicture, Refused) as refused:
            return self._nothing(str(refused))

    def _of_dicom(self, unit: Unit) -> Done:
        outcome, pixels = self._cropper.crop(unit.paths[0], self._sizes.frames)
        if pixels is None:
            return self._nothing(outcome.reason or "unreadable")
        lit = [frame for frame in pixels.frames if frame.mean() >= BLACK]
        black = len(pixels.frames) - len(lit)
        return self._squares(lit, black) if lit else self._nothing("black", black)

    def _squares(self, frames: Sequence[Grey], black: int) -> Done:
        square = Input(size=self._sizes.size, channels=1, mean=(0.0,), std=(1.0,))
        squares = np.concatenate([letterboxed(frame[np.newaxis], square, 0) for frame in frames])
        shapes = np.array([frame.shape[:2] for frame in frames], np.int32)
        return Done(squares, shapes, black, "")

    def _nothing(self, reason: str, black: int = 0) -> Done:
        size = self._sizes.size
        return Done(np.zeros((0, size, size), np.uint8), np.zeros((0, 2), np.int32), black, reason)


def _write(file: Path, done: Done) -> None:
    """Aside and renamed: a file that is there is whole."""
    aside = file.with_suffix(".part")
    with aside.open("wb") as opened:
        np.savez(
            opened, squares=done.squares, shapes=done.shapes, black=np.array(done.black), reason=np.array(done.reason)
        )
    aside.rename(file)
