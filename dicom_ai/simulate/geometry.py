"""Turns a drawn sector into beam space and back: where each pixel lies on the fan of beams, and where not.

A frame is synthesised as (samples, beams), the way a scanner acquires it, and then scan-converted into pixels.
What this is not: anatomy or speckle; nothing here knows what is drawn.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Grey = npt.NDArray[np.uint8]
SectorKind = Literal["curvilinear", "transvaginal"]

SAMPLES = 512
BEAMS = 256


@dataclass(frozen=True)
class Sector:
    """Geometry of the drawn sector in pixels of the frame; x to the right, y downwards.

    Attributes:
        apex: (x, y) of the virtual centre of the fan; may lie above the frame.
        r0: radius of the probe surface, r1: radius of the deepest sample, both from the apex.
        half_angle: half the opening angle, radians.
        tilt: rotation of the whole fan, radians, positive turns the middle beam to the right.
        depth_cm: depth that r1 - r0 stands for.
    """

    kind: SectorKind
    apex: tuple[float, float]
    r0: float
    r1: float
    half_angle: float
    tilt: float
    depth_cm: float

    @property
    def cm_per_px(self) -> float:
        """Size of a pixel in the plane of the picture."""
        return self.depth_cm / (self.r1 - self.r0)

    @property
    def r0_cm(self) -> float:
        """Radius of the probe surface."""
        return self.r0 * self.cm_per_px

    def polygon(self) -> list[tuple[float, float]]:
        """Outline as (x, y) pixels, clockwise from the left end of the probe surface."""
        return [(self.apex[0] + x, self.apex[1] + y) for x, y in _outline(self.r0, self.r1, self.half_angle, self.tilt)]

    def mask(self, h: int, w: int) -> Mask:
        """Pixels whose centre lies in the sector, bool (h, w)."""
        radius, angle = _polar(self, h, w)
        inside: Mask = (radius >= self.r0) & (radius <= self.r1) & (np.abs(angle) <= self.half_angle)
        return inside


@dataclass(frozen=True)
class Grid:
    """Coordinates of beam space, each float32 (SAMPLES, BEAMS) or broadcastable to it.

    Attributes:
        depth: depth under the probe surface along the beam, cm, (SAMPLES, 1).
        across: -1 at the left edge beam to 1 at the right edge beam, (1, BEAMS).
        x: cm to the right of the fan's middle beam. z: cm below the middle of the probe surface.
    """

    depth: Plane
    across: Plane
    x: Plane
    z: Plane


def grid_of(sector: Sector) -> Grid:
    """Beam-space coordinates of `sector`."""
    depth = np.linspace(0, sector.depth_cm, SAMPLES, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, BEAMS, dtype=np.float32)[None, :]
    angle = across * np.float32(sector.half_angle)
    radius = depth + np.float32(sector.r0_cm)
    return Grid(depth, across, radius * np.sin(angle), radius * np.cos(angle) - np.float32(sector.r0_cm))


def to_pixels(plane: Plane | Grey, sector: Sector, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Scan conversion: uint8 (SAMPLES, BEAMS) -> uint8 (h, w), 0 outside the sector."""
    map_beam, map_sample, inside = _maps(sector, *size)
    pixels = cv2.remap(plane, map_beam, map_sample, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.bitwise_and(pixels, inside).astype(np.uint8, copy=False)


def random_sector(rng: np.random.Generator, kind: SectorKind, size: tuple[int, int], depth_cm: float) -> Sector:
    """Place a sector of `depth_cm` in a frame of `size` (h, w): angle, tilt, scale and position by chance."""
    if kind == "curvilinear":
        r0, half, tilt = rng.uniform(4.8, 6.2), rng.uniform(0.44, 0.54), rng.uniform(-0.07, 0.07)
    else:
        r0, half, tilt = rng.uniform(0.9, 1.4), rng.uniform(0.84, 1.02), rng.uniform(-0.04, 0.04)
    outline = np.array(_outline(r0, r0 + depth_cm, half, tilt))
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    h, w = size
    scale = min(h * rng.uniform(0.88, 0.985) / (bottom - top), w * rng.uniform(0.94, 0.99) / (right - left))
    spare = w - scale * (right - left)
    x = spare * rng.uniform(0.15, 0.85) - scale * left
    y = h * rng.uniform(0.002, 0.012) - scale * top
    r0, r1 = float(scale * r0), float(scale * (r0 + depth_cm))
    return Sector(kind, (float(x), float(y)), r0, r1, float(half), float(tilt), depth_cm)


def _outline(r0: float, r1: float, half: float, tilt: float) -> list[tuple[float, float]]:
    angles = np.linspace(-half, half, 49) + tilt
    near = [(float(r0 * np.sin(a)), float(r0 * np.cos(a))) for a in angles]
    far = [(float(r1 * np.sin(a)), float(r1 * np.cos(a))) for a in angles[::-1]]
    return near + far


def _polar(sector: Sector, h: int, w: int) -> tuple[Plane, Plane]:
    x = np.arange(w, dtype=np.float32) + np.float32(0.5 - sector.apex[0])
    y = np.arange(h, dtype=np.float32) + np.float32(0.5 - sector.apex[1])
    xx, yy = np.meshgrid(x, y)
    # Angle from the downward axis: the roles of x and y are swapped against the usual convention.
    radius, angle = cv2.cartToPolar(yy, xx)
    angle = np.where(angle > np.pi, angle - np.float32(2 * np.pi), angle) - np.float32(sector.tilt)
    return radius.astype(np.float32, copy=False), angle.astype(np.float32, copy=False)


@lru_cache(maxsize=8)
def _maps(sector: Sector, h: int, w: int) -> tuple[Plane, Plane, Grey]:
    radius, angle = _polar(sector, h, w)
    inside = (radius >= sector.r0) & (radius <= sector.r1) & (np.abs(angle) <= sector.half_angle)
    beam = (angle / np.float32(sector.half_angle) + 1) * np.float32((BEAMS - 1) / 2)
    sample = (radius - np.float32(sector.r0)) * np.float32((SAMPLES - 1) / (sector.r1 - sector.r0))
    return beam, sample, inside.astype(np.uint8) * np.uint8(255)
