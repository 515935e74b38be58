"""Which frames to look at, worst errors first, and where the network looked.

Pictures come from a function or from a file `maps.npz`; the file has `clip` str (M,), `frame` int (M,), `class_id` str
(M,), `picture` and `heat` uint8 (M, h, w), heat 255 for the strongest evidence.

What this is not: how a map is made (`models.activation_map`), or the cutting of pictures (`dicom_ai.crop`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dicom_ai.classify.runtime import Classifier
from dicom_ai.kept import CropOutcome, Kept
from models.preprocess import Letterbox
from train.evaluate.units import Units
from train.tables import DataSet

MAPS = "maps.npz"
EACH = 3
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Wanted:
    """A frame to look at, and for which class.

    Attributes:
        clip, frame: which (frame one-based in its clip).
        class_id: whose evidence to show.
        kind: "missed" (there and not called), "false" (called and not there), "found" (rightly called).
        probability: of the class.
    """

    clip: str
    frame: int
    class_id: str
    kind: str
    probability: float


@dataclass(frozen=True)
class Seen:
    """A picture uint8 (h, w) and the heat of one class on it, uint8 (h, w)."""

    picture: Grey
    heat: Grey


Looks = Callable[[Wanted], Seen | None]
"""A frame and class -> picture and heat; None where there is none."""


def wanted_of(frames: Units, each: int = EACH) -> list[Wanted]:
    """Per class the surest wrong frames and the surest right ones, at most one of a clip in each kind."""
    found: list[Wanted] = []
    for k, class_id in enumerate(frames.class_ids):
        truth, called, probability = frames.truth[:, k], frames.called[:, k], frames.probability[:, k]
        for kind, rows, order in (
            ("false", called & (truth == 0), -probability),
            ("missed", ~called & (truth == 1), probability),
            ("found", called & (truth == 1), -probability),
        ):
            found += [
                Wanted(clip, number, class_id, kind, float(probability[at]))
                for clip, number, at in _worst(frames, np.flatnonzero(rows), order, each)
            ]
    return found


def _worst(
    frames: Units, rows: npt.NDArray[np.int64], order: npt.NDArray[np.float64], each: int
) -> list[tuple[str, int, int]]:
    taken: dict[str, tuple[str, int, int]] = {}
    for at in rows[np.argsort(order[rows], kind="stable")].tolist():
        clip, _, number = str(frames.key[at]).rpartition("#")
        taken.setdefault(clip, (clip, int(number), at))
        if len(taken) == each:
            break
    return list(taken.values())


def looks_in(file: Path) -> Looks:
    """Pictures and heat of a file."""
    with np.load(file, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in ("clip", "frame", "class_id", "picture", "heat")}
    names = zip(columns["clip"].tolist(), columns["frame"].tolist(), columns["class_id"].tolist(), strict=True)
    at = {name: number for number, name in enumerate(names)}

    def look(wanted: Wanted) -> Seen | None:
        row = at.get((wanted.clip, wanted.frame, wanted.class_id))
        return None if row is None else Seen(columns["picture"][row], columns["heat"][row])

    return look


def looks_of(model: Path, made: DataSet) -> Looks:
    """Pictures of a data set, and the heat that the serving classifier lays on them.

    The pictures were made smaller when they were collected, so the network may see a little less than when it was
    judged; the data set has them without a grey table, and the card's is applied.
    """
    classifier = Classifier(model, device="cpu")
    clips = {clip.id: clip for clip in made.clips}
    ids = classifier.card.class_ids

    def look(wanted: Wanted) -> Seen | None:
        clip = clips.get(wanted.clip)
        if clip is None or not 1 <= wanted.frame <= clip.frames or wanted.class_id not in ids:
            return None
        picture = picture_of(made, clip.first + wanted.frame - 1)
        height, width = picture.shape
        corners = ((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height)))
        outcome = CropOutcome("cropped", None, height, width, 1, (corners,), box=(0, 0, width, height))
        scored = classifier.score(Kept(picture[None, :, :, None], (1,), outcome))
        return Seen(picture, scored.heat(ids.index(wanted.class_id))[0])

    return look


def picture_of(made: DataSet, row: int) -> Grey:
    """One frame of a data set without its letterbox: uint8 (h, w)."""
    rows, columns = (int(length) for length in made.shapes[row])
    box = Letterbox.fit(rows, columns, made.frames.shape[1])
    inner = made.frames[row, box.top : box.top + box.inner_height, box.left : box.left + box.inner_width]
    return np.ascontiguousarray(inner)


def seen_of(wanted: Sequence[Wanted], look: Looks) -> list[tuple[Wanted, Seen]]:
    """Those that can be shown."""
    found = ((one, look(one)) for one in wanted)
    return [(one, seen) for one, seen in found if seen is not None]
