"""What a network learns from or is judged on: frames of one part, with labels, in batches that never depend on chance.

A part comes from drawn phantoms or from a collected data set; both are shown through the same grey table and the same
size. The frames of a data set stay on the disk, mapped. What this is not: the division into parts (`train.split`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, Sampler

from train.augment import Sample, Shown, augmented, mixed
from train.phantoms import Pictures
from train.recipe import Recipe
from train.split import Part, Split
from train.tables import DataSet

Grey = npt.NDArray[np.uint8]
Words = npt.NDArray[np.str_]
COLUMNS = ("clip", "patient", "source", "device", "probe")


@dataclass(frozen=True)
class Lesson:
    """N frames of one part.

    Attributes:
        squares: uint8 (F, s, s), of all parts. rows: int64 (N,), those of this part.
        labels: float32 (N, K), NaN where nobody asked. good: bool (N,), whether the frame may be judged.
        clip, patient, source, device, probe: str (N,). frame: int64 (N,), 1-based in its clip.
        left_out: frames that this head cannot use.
        twin, where: as of `train.phantoms.Pictures`, beside `squares`; None where nothing was drawn.
    """

    squares: Grey
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]
    good: npt.NDArray[np.bool_]
    clip: Words
    patient: Words
    source: Words
    device: Words
    probe: Words
    frame: npt.NDArray[np.int64]
    left_out: int = 0
    twin: Grey | None = None
    where: Grey | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.rows)

    @property
    def of_clips(self) -> npt.NDArray[np.float32]:
        """Labels (clips, K), one row for each clip."""
        return self.labels[np.unique(self.clip, return_index=True)[1]]


def drawn_lesson(drawn: Pictures, first_seed: int) -> Lesson:
    """Drawn pictures; each is a patient of its own, named by its seed."""
    count = len(drawn.shown)
    name = np.array([f"phantom-{first_seed + number}" for number in range(count)], dtype=np.str_)
    source, nothing = np.full(count, "phantoms"), np.full(count, "")
    return Lesson(
        drawn.shown, np.arange(count), drawn.labels, drawn.good, name, name, source, nothing, nothing,
        frame=np.ones(count, np.int64), twin=drawn.twin, where=drawn.where,
    )  # fmt: skip


def collected_lesson(made: DataSet, rows: npt.NDArray[np.int64], head: str, most: int | None = None) -> Lesson:
    """Frames of a collected data set.

    A softmax head says exactly one class, so it can use a clip only when one class is present and no other may be;
    a sigmoid head can use every clip of which one class at least is known.

    Args:
        made: the data set.
        rows: of its frames' array.
        head: "softmax" or "sigmoid".
        most: frames taken at most, spread evenly.
    """
    number = np.zeros(len(made.frames), np.int64)
    for place, clip in enumerate(made.clips):
        number[clip.first : clip.first + clip.frames] = place
    labels = _for_softmax(made) if head == "softmax" else made.labels
    usable = np.asarray((~np.isnan(labels)).any(axis=1), bool)
    kept = rows[usable[number[rows]]]
    left_out = len(rows) - len(kept)
    if most is not None and len(kept) > most:
        kept = kept[np.linspace(0, len(kept) - 1, most).round().astype(np.int64)]
    at = number[kept]
    words = {name: np.array([getattr(clip, "id" if name == "clip" else name) for clip in made.clips], dtype=np.str_)[at]
             for name in COLUMNS}  # fmt: skip
    first = np.array([clip.first for clip in made.clips], np.int64)[at]
    return Lesson(made.frames, kept, labels[at], np.ones(len(kept), bool), frame=kept - first + 1, left_out=left_out,
                  **words)  # fmt: skip


def parts_of(made: DataSet, split: Split, fold: int, head: str, most: int | None = None) -> dict[Part, Lesson]:
    """The three parts of one fold; `most` limits the training part alone.

    Raises:
        ValueError: a part that is needed has no frame that this head can use, or the split is of another data set.
    """
    found: dict[Part, Lesson] = {}
    for part in ("train", "validation", "test"):
        rows = split.rows(made, fold, part)
        found[part] = collected_lesson(made, rows, head, most if part == "train" else None)
        if not len(found[part]) and (part != "test" or len(rows)):
            raise ValueError(f"fold {fold}: the part {part} has no frame that a {head} head can use")
    return found


def _for_softmax(made: DataSet) -> npt.NDArray[np.float32]:
    labels = made.labels
    is_one = (labels == 1).sum(axis=1) == 1
    is_alone = np.array([clip.single_sign for clip in made.clips], bool) | ~np.isnan(labels).any(axis=1)
    usable = (is_one & is_alone)[:, None]
    return np.where(usable, (labels == 1).astype(np.float32), np.float32(np.nan))


class Shows(Dataset[Shown]):
    """A part as the network is shown it in one epoch; without augmentation when it is not training."""

    def __init__(self, lesson: Lesson, recipe: Recipe, *, key: tuple[int, int] | None = None) -> None:
        """`key` is (seed, epoch) of a training epoch, None shows each frame as it is."""
        self.lesson, self.recipe, self.key = lesson, recipe, key
        names = np.unique(lesson.clip, return_inverse=True)[1] if len(lesson) else np.zeros(0, np.int64)
        self.clip = names.astype(np.int64)
        table = recipe.input.grey_table
        # drawn pictures have been through the table and have the size
        self.table = None if table is None or lesson.where is not None else np.asarray(table, np.uint8)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.lesson)

    def __getitem__(self, index: int) -> Shown:
        """One frame as shown in this epoch."""
        if self.key is None:
            sample = self._sample(index)
            good, clip = sample.good, int(self.clip[index])
            return Shown(sample.shown, sample.where, sample.labels, good, float(good), clip)
        rng = np.random.default_rng((*self.key, index))
        shown, mixup = self._augmented(index, rng), self.recipe.fit.loss.mixup
        if mixup:
            share = float(rng.beta(mixup, mixup))
            shown = mixed(shown, self._augmented(int(rng.integers(len(self))), rng), share)
        return replace(shown, clip=int(self.clip[index]))

    def _augmented(self, index: int, rng: np.random.Generator) -> Shown:
        ids = self.recipe.class_ids
        normal = ids.index("normal") if "normal" in ids else None
        blanked = self.recipe.fit.loss.blanked if self.lesson.twin is not None else 0.0
        return augmented(self._sample(index), rng, blanked=blanked, normal=normal, how=self.recipe.augment)

    def _sample(self, index: int) -> Sample:
        one, row, size = self.lesson, self.lesson.rows[index], self.recipe.input.size
        square = np.asarray(one.squares[row])
        square = square if self.table is None else self.table[square]
        if square.shape[0] != size:
            square = np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        twin = square if one.twin is None else one.twin[row]
        where = np.zeros_like(square) if one.where is None else one.where[row]
        return Sample(square, twin, where, one.labels[index], bool(one.good[index]))


class Batches(Sampler[list[int]]):
    """Indices of each batch of one epoch: the same for the same key, each process with its share of every batch."""

    def __init__(
        self, clip: npt.NDArray[np.int64], batch: int, *, clip_frames: int, key: tuple[int, int],
        place: tuple[int, int] = (0, 1),
    ) -> None:  # fmt: skip
        """Order one epoch.

        Args:
            clip: (N,), number of each frame's clip.
            batch: frames of all processes together.
            clip_frames: of each clip, side by side; 0 shows every frame in any order.
            key: (seed, epoch).
            place: (rank, processes).
        """
        rng = np.random.default_rng(key)
        order: npt.NDArray[np.int64] = rng.permutation(len(clip))
        if clip_frames:
            of_clip: dict[int, list[int]] = {}
            for index in order:
                chosen = of_clip.setdefault(int(clip[index]), [])
                if len(chosen) < clip_frames:
                    chosen.append(int(index))
            order = np.array([index for chosen in of_clip.values() for index in chosen], np.int64)
        whole = max(1, len(order) // batch)
        chunks: list[Any] = [order[at * batch : (at + 1) * batch] for at in range(whole)]
        self.batches = [[int(i) for i in np.array_split(chunk, place[1])[place[0]]] for chunk in chunks]

    def __iter__(self) -> Iterator[list[int]]:
        """Batch after batch of this process; a last one that is not full is left out, unless it is the only one."""
        return iter(self.batches)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.batches)
