"""The objects of one subject: its clean twin, and the same acquisition with one identity painted on it, place by place.

What this is not: a judgement of what became of them; see `verdict`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from pydicom.dataset import Dataset

from dicom_ai.commands.bench.subject import Subject
from dicom_ai.simulate.inscriptions import inscription
from dicom_ai.simulate.painting import Painted, paint, random_look
from dicom_ai.simulate.places import OUTSIDE, Place

LEGITIMATE: tuple[Place, ...] = (*OUTSIDE, "label")
"""Places whose objects may be accepted: the text is cut off with the screen, or painted black."""

_HEIGHTS: dict[Place, tuple[int, int]] = {"label": (10, 16), **dict.fromkeys(OUTSIDE, (10, 40))}
"""Least and most; outside the sector nothing is learned from what nobody can read."""

_TRIES = 6


@dataclass(frozen=True)
class Case:
    """One object.

    Attributes:
        subject: what is on it.
        painted: the text on it; None for the clean twin.
        ds: as a scanner writes it, with File Meta Information.
        name: seed, number and place; enough to make it again.
        is_chinese: whether the text has Chinese letters.
    """

    subject: Subject
    painted: Painted | None
    ds: Dataset = field(repr=False)
    name: str
    is_chinese: bool = False


def cases(subject: Subject) -> Iterator[Case]:
    """The clean twin, then one object for each place; a place without room for a text is left out."""
    name = f"{subject.seed}:{subject.number}"
    yield Case(subject, None, subject.dataset(subject.shown.frames), f"{name}:clean")
    for part, place in enumerate(places_of(subject), start=1):
        made = _case(subject, place, part)
        if made is not None:
            yield made


def places_of(subject: Subject) -> tuple[Place, ...]:
    """A still has a text in every place outside the sector, a clip in one of them and a label that stands still.

    Every third still and every other clip have one more that must stop it, as they lie on tissue.
    """
    if not subject.is_clip:
        return (*OUTSIDE, "inside") if subject.number % 3 == 0 else OUTSIDE
    stops: tuple[Place, ...] = ("one frame", "moving", "inside")
    outside = OUTSIDE[subject.number % len(OUTSIDE)]
    return (outside, "label", stops[subject.number // 2 % len(stops)]) if subject.number % 2 else (outside, "label")


def _case(subject: Subject, place: Place, part: int) -> Case | None:
    rng = np.random.default_rng([subject.seed, subject.number, part])
    for _ in range(_TRIES):  # a text too long for its place is replaced by another
        is_chinese = bool(rng.random() < 0.4)
        said = inscription(rng, chinese=is_chinese, short=place == "label" or bool(rng.random() < 0.5))
        look = random_look(rng, chinese=is_chinese, heights=_HEIGHTS.get(place, (8, 40)))
        painted = paint(subject.shown.frames, said.text, place, subject.ground, look, rng)
        if painted is None:
            continue
        stated = said.stated if rng.random() < 0.5 else None  # a screen may show a patient its header does not know
        ds = subject.dataset(painted.frames, stated, part)
        return Case(subject, painted, ds, f"{subject.seed}:{subject.number}:{place}", is_chinese)
    return None
