"""Bends a phantom's fan of beams into other transducers' shapes: linear, widened, steered, virtual convex, phased.

The tissue, the signs and the speckle stay those of the phantom; only the scan conversion is another one. A picture
may also be cut at the sides, as a screen's window does, and darkened where a probe has lost contact. What this is not:
a model of other transducers' beams.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from dicom_ai.simulate.geometry import Grey, Mask, Plane, Sector
from dicom_ai.simulate.phantom import Phantom

Shape = Literal["fan", "linear", "widened", "steered", "virtual convex", "phased"]
SHAPES: tuple[Shape, ...] = ("fan", "linear", "widened", "steered", "virtual convex", "phased")
"""A fan is what the phantom was drawn with."""

_RIM = 0.004  # of the fan: the outermost beams and samples are mixed with the black around them


@dataclass(frozen=True)
class Cone:
    """Where each pixel lies: `across` -1 to 1 from the first beam to the last, `along` 0 to 1 from probe to depth.

    `top` and `bottom` are the rows of the shallowest and the deepest sample on the middle beam.
    """

    across: Plane
    along: Plane
    top: float
    bottom: float


def reshaped(phantom: Phantom, shape: Shape, rng: np.random.Generator) -> Phantom:
    """The same acquisition through another transducer.

    Args:
        phantom: with a fan.
        shape: wanted; a fan is returned as it is.
        rng: decides size, opening and place.

    Returns:
        A phantom of the same size. Its `sector` has the depth and the pixel size of the new picture, so that a depth
        scale fits; its outline is in `sector_mask` alone. It has neither signs nor twin.
    """
    if shape == "fan":
        return phantom
    h, w = phantom.sector_mask.shape
    cone = _CONES[shape](h, w, rng)
    inside = (np.abs(cone.across) <= 1) & (cone.along >= 0) & (cone.along <= 1)
    frames = np.stack([_converted(frame, phantom.sector, cone, inside) for frame in phantom.frames])
    height = cone.bottom - cone.top
    sector = replace(phantom.sector, apex=(w / 2, cone.top - height), r0=height, r1=2 * height, tilt=0.0)
    return replace(phantom, frames=frames, sector_mask=inside, sector=sector, signs={}, twin=None)


def cut_sides(phantom: Phantom, share: float) -> Phantom:
    """Cut `share` (0 to 0.2) of the picture's width off at each side, as a window narrower than the fan does."""
    columns = np.flatnonzero(phantom.sector_mask.any(axis=0))
    off = round(share * len(columns))
    inside = phantom.sector_mask.copy()
    inside[:, : columns[0] + off] = False
    inside[:, columns[-1] + 1 - off :] = False
    frames = np.where(inside, phantom.frames, 0).astype(np.uint8)
    return replace(phantom, frames=frames, sector_mask=inside, signs={}, twin=None)


def dimmed(phantom: Phantom, gain: float, dark: tuple[float, float]) -> Phantom:
    """Darker frames, and a part of the picture without contact.

    Args:
        phantom: to be changed.
        gain: grey levels are multiplied by it, 0.2 to 1.2.
        dark: first and last column of the part without contact, as shares of the width; equal for none. Of its
            brightness a tenth is left.
    """
    w = phantom.sector_mask.shape[1]
    x = (np.arange(w) + 0.5) / w
    soft = np.clip(np.minimum(x - dark[0], dark[1] - x) / 0.05 + 0.5, 0, 1) if dark[1] > dark[0] else np.zeros(w)
    factor = (gain * (1 - 0.9 * soft)).astype(np.float32)
    frames = np.clip(phantom.frames * factor, 0, 255).astype(np.uint8)
    return replace(phantom, frames=frames, signs={}, twin=None)


def _converted(frame: Grey, fan: Sector, cone: Cone, inside: Mask) -> Grey:
    angle = (cone.across * np.float32((1 - _RIM) * fan.half_angle) + np.float32(fan.tilt)).astype(np.float32)
    share = np.float32(_RIM) + cone.along * np.float32(1 - 2 * _RIM)
    radius = (np.float32(fan.r0) + share * np.float32(fan.r1 - fan.r0)).astype(np.float32)
    x = np.float32(fan.apex[0] - 0.5) + radius * np.sin(angle)
    y = np.float32(fan.apex[1] - 0.5) + radius * np.cos(angle)
    drawn = cv2.remap(frame, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    return np.where(inside, drawn, 0).astype(np.uint8)


def _grid(h: int, w: int) -> tuple[Plane, Plane]:
    """Centres of the pixels, counted from the middle column and the first row."""
    x, y = np.meshgrid(np.arange(w, dtype=np.float32) + 0.5 - w / 2, np.arange(h, dtype=np.float32) + 0.5)
    return x.astype(np.float32), y.astype(np.float32)


def _linear(h: int, w: int, rng: np.random.Generator) -> Cone:
    return _straight(h, w, rng, lean=0.0, widen=0.0)


def _steered(h: int, w: int, rng: np.random.Generator) -> Cone:
    return _straight(h, w, rng, lean=float(rng.uniform(0.1, 0.25) * rng.choice([-1, 1])), widen=0.0)


def _widened(h: int, w: int, rng: np.random.Generator) -> Cone:
    return _straight(h, w, rng, lean=0.0, widen=float(rng.uniform(0.12, 0.4)))


def _straight(h: int, w: int, rng: np.random.Generator, *, lean: float, widen: float) -> Cone:
    """Flat top and bottom; the sides go `lean` columns a row to the right, and `widen` apart."""
    x, y = _grid(h, w)
    top, bottom = float(rng.uniform(2, 8)), float(h * rng.uniform(0.8, 0.985))
    deep = bottom - top
    spread = (abs(lean) + widen) * deep
    half = max(0.2 * w, float(rng.uniform(0.3, 0.48)) * w - spread / 2)
    half = min(half, 0.49 * w - (widen * deep if widen else abs(lean) * deep / 2))
    along = (y - np.float32(top)) / np.float32(deep)
    middle = np.float32(lean) * (y - np.float32(top) - np.float32(deep / 2))
    across = (x - middle) / (np.float32(half) + np.float32(widen) * np.clip(y - np.float32(top), 0, None))
    return Cone(across.astype(np.float32), along.astype(np.float32), top, bottom)


def _virtual_convex(h: int, w: int, rng: np.random.Generator) -> Cone:
    """Beams start on a flat face and fan out; each is equally long."""
    x, y = _grid(h, w)
    top, opening = float(rng.uniform(2, 8)), float(rng.uniform(0.3, 0.5))
    deep = h * float(rng.uniform(0.8, 0.97)) - top
    half = max(0.08 * w, min(float(rng.uniform(0.14, 0.24)) * w, 0.49 * w - deep * float(np.sin(opening))))
    opening = min(opening, float(np.arcsin(min(0.99, (0.49 * w - half) / deep))))
    behind = half / np.tan(opening)
    down = y - np.float32(top) + np.float32(behind)
    angle, radius = np.arctan2(x, down), np.hypot(x, down)
    begin = np.float32(behind) / np.maximum(np.cos(angle), np.float32(0.05))
    return Cone(
        (angle / np.float32(opening)).astype(np.float32), ((radius - begin) / np.float32(deep)).astype(np.float32),
        top, top + deep,
    )  # fmt: skip


def _phased(h: int, w: int, rng: np.random.Generator) -> Cone:
    """A fan from nearly one point."""
    x, y = _grid(h, w)
    half, near = float(rng.uniform(0.6, 0.78)), float(rng.uniform(0, 0.02) * h)
    top = float(rng.uniform(2, 8))
    far = min(0.49 * w / float(np.sin(half)), h * float(rng.uniform(0.88, 0.985)) - top + near)
    down = y - np.float32(top - near)
    radius, angle = np.hypot(x, down), np.arctan2(x, down)
    along = (radius - np.float32(near)) / np.float32(far - near)
    return Cone((angle / np.float32(half)).astype(np.float32), along.astype(np.float32), top, top + far - near)


_CONES: dict[Shape, Callable[[int, int, np.random.Generator], Cone]] = {
    "linear": _linear,
    "widened": _widened,
    "steered": _steered,
    "virtual convex": _virtual_convex,
    "phased": _phased,
}
