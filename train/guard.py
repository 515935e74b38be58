"""Refuses a split in which a patient, a clip or nearly the same picture stands in two parts.

Whoever wants such a split anyway must name what to let pass; the name and the count go into the split's file. What
this is not: a repair; which of two patients is right nobody here knows.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from train.near import NEAR
from train.split import PARTS, Fold, Split
from train.tables import Clip, DataSet

KINDS = ("patient", "clip", "near_duplicate")


class Leak(ValueError):
    """A split must not be used; the message says what stands in two parts and how to let it pass."""


@dataclass(frozen=True)
class Found:
    """What stands in two parts.

    Attributes:
        kind: one of `KINDS`.
        fold: of the split.
        names: the patient; the clip; or the two clips that are alike, by id.
    """

    kind: str
    fold: int
    names: tuple[str, ...]


def guarded(split: Split, made: DataSet, apart: npt.NDArray[np.uint16], allow: Collection[str] = ()) -> Split:
    """The split, with what was let pass written into it.

    Args:
        split: of `made`.
        made: the data set.
        apart: bits between clips (`near.bits_apart`).
        allow: kinds that may pass.

    Raises:
        Leak: something stands in two parts that nobody allowed, a member is unknown, or one is missing from a fold.
        ValueError: no such kind.
    """
    if set(allow) - set(KINDS):
        raise ValueError(f"--allow knows {', '.join(KINDS)}")
    found = leaks(split, made, apart)
    counts = {kind: sum(one.kind == kind for one in found) for kind in KINDS}
    wrong = {kind: count for kind, count in counts.items() if count and kind not in allow}
    if wrong:
        examples = "; ".join(" and ".join(one.names) for one in found if one.kind in wrong)[:400]
        told = ", ".join(f"{count} x {kind}" for kind, count in wrong.items())
        raise Leak(f"in two parts at once: {told} ({examples}). To let it pass: --allow {' --allow '.join(wrong)}")
    return replace(split, allowed={kind: counts[kind] for kind in KINDS if kind in allow})


def leaks(split: Split, made: DataSet, apart: npt.NDArray[np.uint16]) -> list[Found]:
    """Everything that stands in two parts of one fold.

    Raises:
        Leak: a member is unknown or given twice, or one of the data set is in no part.
    """
    if split.data != made.digest:
        raise Leak("the split is of another data set")
    near = [(i, j) for i, j in zip(*np.nonzero(np.triu(apart <= NEAR, 1)), strict=True)]
    found: list[Found] = []
    for number, fold in enumerate(split.folds):
        sides = _sides(fold, made.clips)
        found += [Found("clip", number, (clip.id,)) for clip in made.clips if len(sides[clip.id]) > 1]
        found += [Found("patient", number, (name,)) for name in _patients_in_two(sides, made.clips)]
        for i, j in near:
            one, other = made.clips[i].id, made.clips[j].id
            if len(sides[one] | sides[other]) > 1:
                found.append(Found("near_duplicate", number, (one, other)))
    return found


def _sides(fold: Fold, clips: tuple[Clip, ...]) -> Mapping[str, set[str]]:
    """Clip id -> parts in which any of it stands."""
    sides: dict[str, set[str]] = {clip.id: set() for clip in clips}
    frames: dict[str, set[int]] = defaultdict(set)
    counts = {clip.id: clip.frames for clip in clips}
    for part in PARTS:
        for member in fold[part]:
            name, _, number = member.partition("#")
            taken = {int(number)} if number else set(range(1, counts.get(name, 0) + 1))
            if name not in sides or not taken or taken & frames[name] or max(taken) > counts[name]:
                raise Leak("the split names something that is not in the data set, or something twice")
            frames[name] |= taken
            sides[name].add(part)
    if any(len(frames[name]) != count for name, count in counts.items()):
        raise Leak("the split leaves out a part of the data set")
    return sides


def _patients_in_two(sides: Mapping[str, set[str]], clips: tuple[Clip, ...]) -> Iterator[str]:
    of_patient: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        of_patient[clip.patient] |= sides[clip.id]
    yield from (name for name, parts in of_patient.items() if len(parts) > 1)
