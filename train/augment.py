"""A drawn picture -> what the network is shown this time: geometry, grey levels, and now and then the sign blanked.

What this is not: preprocessing. Serving never runs this.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from train.recipe import Augment

DEFAULT = Augment()
Grey = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """One picture as shown: uint8 (S, S) twice, labels float32 (K,).

    Attributes:
        judge: whether its classes count.
        good: 1 to be judged, 0 to be turned away, NaN when neither should be taught (a blanked sign).
        clip: number of its clip.
    """

    picture: Grey
    where: Grey
    labels: Labels
    judge: bool
    good: float
    clip: int = 0


@dataclass(frozen=True)
class Sample:
    """One drawn picture: the fields of `train.phantoms.Pictures` without their first axis."""

    shown: Grey
    twin: Grey
    where: Grey
    labels: Labels
    good: bool


def augmented(
    sample: Sample, rng: np.random.Generator, *, blanked: float, normal: int | None, how: Augment = DEFAULT
) -> Shown:
    """One picture, changed at random.

    Args:
        sample: as drawn.
        rng: decides everything.
        blanked: share of positives shown with one sign blanked and labelled without it.
        normal: index of the class that is left when a sign is gone (softmax), None when none is (sigmoid).
        how: extents of the changes.
    """
    picture, where, labels, good = sample.shown, sample.where, sample.labels.copy(), float(sample.good)
    signs = [k for k in range(len(labels)) if (where >> k & 1).any()]
    if signs and rng.random() < blanked:
        k = int(rng.choice(signs))
        picture, style = blank(sample, k, rng)
        where, labels[k] = where & ~np.uint8(1 << k), 0.0
        if normal is not None:
            labels[normal] = 1.0
        good = float(sample.good) if style == "twin" else float("nan")
    picture, where = _moved(picture, where, rng, how)
    return Shown(_greyed(picture, rng) if how.grey else picture, where, labels, sample.good, good)


def blank(sample: Sample, k: int, rng: np.random.Generator) -> tuple[Grey, str]:
    """The picture with sign `k` filled by its twin, its surroundings' mean grey, or black; and which of the three."""
    style = str(rng.choice(["twin", "twin", "mean", "black"]))
    others = sample.where & ~np.uint8(1 << k)
    mask = (sample.where >> k & 1).astype(np.uint8)
    near = (cv2.dilate(mask, np.ones((9, 9), np.uint8)) > mask) & (sample.shown > 0)
    level = float(sample.shown[near].mean()) if style == "mean" and near.any() else 0.0
    fill = sample.twin if style == "twin" else np.full_like(sample.shown, round(level))
    return np.where((mask > 0) & (others == 0), fill, sample.shown).astype(np.uint8), style


def _moved(picture: Grey, where: Grey, rng: np.random.Generator, how: Augment) -> tuple[Grey, Grey]:
    size = picture.shape[0]
    angle, zoom = float(rng.uniform(-how.rotation, how.rotation)), float(rng.uniform(*how.zoom))
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), angle, zoom)
    turn[:, 2] += rng.uniform(-how.shift, how.shift, 2) * size
    if how.shear:
        slope = float(np.tan(np.deg2rad(rng.uniform(-how.shear, how.shear))))
        turn = np.array([[1, slope, -slope * size / 2], [0, 1, 0]]) @ np.vstack([turn, [0, 0, 1]])
    moved = cv2.warpAffine(picture, turn, (size, size), flags=cv2.INTER_LINEAR)
    signs = cv2.warpAffine(where, turn, (size, size), flags=cv2.INTER_NEAREST)
    if how.flip != "none" and rng.random() < 0.5:
        axis = 1 if how.flip == "horizontal" else 0
        moved, signs = np.flip(moved, axis), np.flip(signs, axis)
    return np.ascontiguousarray(moved, np.uint8), np.ascontiguousarray(signs, np.uint8)


def mixed(one: Shown, other: Shown, share: float) -> Shown:
    """`share` of one picture and the rest of another, labels likewise; a label unknown in either is unknown.

    Mixup (Zhang et al., ICLR 2018). Where signs lie is lost; both must be pictures that may be judged.
    """
    picture = one.picture * np.float32(share) + other.picture * np.float32(1 - share)
    labels = one.labels * np.float32(share) + other.labels * np.float32(1 - share)
    where = np.zeros_like(one.where)
    return Shown(np.rint(picture).astype(np.uint8), where, labels, one.judge and other.judge, one.good)


def _greyed(picture: Grey, rng: np.random.Generator) -> Grey:
    inside = picture > 0
    grey: npt.NDArray[Any] = picture.astype(np.float32) / 255
    grey = np.power(grey, rng.uniform(0.7, 1.4)) * rng.uniform(0.7, 1.3) + rng.uniform(-0.04, 0.04)
    if rng.random() < 0.4:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 0.9))
    if rng.random() < 0.4:
        grey = grey * (1 + rng.uniform(0, 0.2) * rng.normal(size=grey.shape).astype(np.float32))
    out = np.where(inside, np.clip(grey, 0, 1) * 255, 0).astype(np.uint8)
    if rng.random() < 0.3:
        _, coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 95))])
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return out
