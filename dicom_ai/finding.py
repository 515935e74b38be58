"""Score and Finding: from frame probabilities to what the study says, by stated rules.

Frame -> clip -> study (the rules named in the card's `pooling`):

* frame_to_clip `top_third_mean`: per class, the mean of the highest third (at least one) of the assessable
  frames. `mean`: the mean over the assessable frames (keeps a softmax distribution a distribution).
* clip_to_study `max`: per class, the highest clip probability. `least_normal`: the image whose probability of
  the class `normal` is lowest speaks for the study (keeps a softmax distribution a distribution).

A frame is assessable when its assessability reaches the card's abstention threshold; an image when at least
half of its frames are; a study when at least one image is. What is not assessable is Indeterminate, never
Absent. For a softmax head, nothing reaching its threshold is Indeterminate too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """What the report says of one class."""

    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True)
class FrameScore:
    """One frame's calibrated probabilities (0..1, card's class order) and its assessability (0..1)."""

    frame_number: int  # one-based, of the source
    probabilities: tuple[float, ...]
    assessability: float


@dataclass(frozen=True)
class ImageScore:
    """One still or clip: its frames and what they say together.

    Attributes:
        probabilities: pooled over the assessable frames (over all frames when the image is not assessable).
        is_assessable: whether the image may say Present or Absent.
    """

    sop_instance_uid: str
    frames: tuple[FrameScore, ...]
    probabilities: tuple[float, ...]
    is_assessable: bool


@dataclass(frozen=True)
class Finding:
    """What the study says of one class."""

    class_id: str
    probability: float
    state: State
    threshold: float

    def row(self) -> dict[str, object]:
        """The finding as the JSON object of the contract."""
        return {
            "class": self.class_id,
            "probability": round(self.probability, 4),
            "state": self.state.value,
            "threshold": self.threshold,
        }


@dataclass(frozen=True)
class Rules:
    """The part of a card that decides: classes, thresholds, head, pooling, abstention.

    Attributes:
        head: "sigmoid" (each class for itself) or "softmax" (exactly one class).
        assessable_from: least assessability (0..1) of an assessable frame; 0 switches abstention off.
    """

    class_ids: tuple[str, ...]
    thresholds: tuple[float, ...]
    head: str
    frame_to_clip: str
    clip_to_study: str
    assessable_from: float


def image_score(sop_instance_uid: str, frames: Sequence[FrameScore], rules: Rules) -> ImageScore:
    """Pool the frames of one image by `rules.frame_to_clip`; `frames` must not be empty."""
    usable = [frame for frame in frames if frame.assessability >= rules.assessable_from]
    is_assessable = 2 * len(usable) >= len(frames) and bool(usable)
    pooled = _pool_frames(usable if is_assessable else frames, rules.frame_to_clip)
    return ImageScore(sop_instance_uid, tuple(frames), pooled, is_assessable)


def study_findings(images: Sequence[ImageScore], rules: Rules) -> tuple[Finding, ...]:
    """What the study says of every class, in the card's order.

    Args:
        images: every image that was scored; may be empty (nothing could be analysed).
        rules: of the card that scored them.

    Returns:
        One finding per class. All Indeterminate with probability 0 when `images` is empty.
    """
    usable = [image for image in images if image.is_assessable]
    pooled = _pool_images(usable or images, rules) if images else (0.0,) * len(rules.class_ids)
    states = states_of(pooled, rules) if usable else (State.INDETERMINATE,) * len(rules.class_ids)
    return tuple(map(Finding, rules.class_ids, pooled, states, rules.thresholds))


def states_of(probabilities: Sequence[float], rules: Rules) -> tuple[State, ...]:
    """State of every class of something assessable."""
    over = [p >= t for p, t in zip(probabilities, rules.thresholds, strict=True)]
    if rules.head == "softmax":
        best = max(range(len(over)), key=lambda i: probabilities[i])
        if not over[best]:
            return (State.INDETERMINATE,) * len(over)
        return tuple(State.PRESENT if i == best else State.ABSENT for i in range(len(over)))
    return tuple(State.PRESENT if reached else State.ABSENT for reached in over)


def key_frame(image: ImageScore, class_index: int, rules: Rules) -> FrameScore:
    """The frame that carries a class: the highest probability among the assessable frames, the earliest of equals."""
    usable = [frame for frame in image.frames if frame.assessability >= rules.assessable_from] or list(image.frames)
    return max(usable, key=lambda frame: (frame.probabilities[class_index], -frame.frame_number))


def _pool_frames(frames: Sequence[FrameScore], rule: str) -> tuple[float, ...]:
    columns = list(zip(*(frame.probabilities for frame in frames), strict=True))
    if rule == "mean":
        return tuple(sum(column) / len(column) for column in columns)
    if rule == "top_third_mean":
        n = -(-len(frames) // 3)
        return tuple(sum(sorted(column)[-n:]) / n for column in columns)
    raise ValueError(f"unknown rule frame_to_clip = {rule!r}; use top_third_mean or mean")


def _pool_images(images: Sequence[ImageScore], rules: Rules) -> tuple[float, ...]:
    if rules.clip_to_study == "max":
        return tuple(max(column) for column in zip(*(image.probabilities for image in images), strict=True))
    if rules.clip_to_study == "least_normal":
        normal = rules.class_ids.index("normal")
        return min(images, key=lambda image: image.probabilities[normal]).probabilities
    raise ValueError(f"unknown rule clip_to_study = {rules.clip_to_study!r}; use max or least_normal")
