"""Turns a scene of echo levels into frames: tissue first, then the layers of each sign, then the console.

A layer says where (alpha) and how bright (level); outside its alpha a frame with the layer equals the frame
without it, grey level for grey level. What this is not: a choice of what to draw.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from dicom_ai.simulate.geometry import Grey, Mask, Plane, Sector, grid_of, to_pixels
from dicom_ai.simulate.speckle import Console, Speckle

FAINT = np.float32(0.02)


@dataclass(frozen=True)
class Layer:
    """One part of a picture in beam space.

    Attributes:
        alpha: 0 (not there) to 1 (hides what lies under it), float32 (SAMPLES, BEAMS).
        level: echo level in dB, float32 broadcastable to alpha.
    """

    alpha: Plane
    level: Plane | float


Painter = Callable[[int], list[Layer]]
"""Layers of one sign at a frame number."""


@dataclass(frozen=True)
class Scene:
    """What is drawn: tissue by frame, the layers of each sign by class id, and what hides both (rib shadows)."""

    tissue: Callable[[int], Plane]
    signs: Mapping[str, Painter]
    cover: Callable[[Plane], Plane] = lambda level: level


@dataclass(frozen=True)
class Film:
    """Frames of a scene with and without its signs, uint8 (T, H, W), and where each sign is, bool (H, W)."""

    frames: Grey
    twin: Grey | None
    signs: dict[str, Mask]


def paint(ground: Plane, layers: list[Layer]) -> Plane:
    """Lay `layers` over echo levels `ground`, in order."""
    for layer in layers:
        ground = ground + _alpha(layer) * (layer.level - ground)
    return ground


def film(scene: Scene, sector: Sector, look: tuple[Speckle, Console], *, frames: int, size: tuple[int, int]) -> Film:
    """Render `frames` frames of `scene` into `size` (h, w), black outside `sector`."""
    speckle, console = look
    grid = grid_of(sector)
    shown = np.zeros((frames, *size), np.uint8)
    twin = np.zeros_like(shown) if scene.signs else None
    where = {class_id: np.zeros(size, np.uint8) for class_id in scene.signs}
    for frame in range(frames):
        grain, tissue = speckle.at(frame), scene.tissue(frame)
        layers = {class_id: painter(frame) for class_id, painter in scene.signs.items()}
        everything = paint(tissue, [layer for drawn in layers.values() for layer in drawn])
        shown[frame] = to_pixels(console.shade(scene.cover(everything), grain, grid), sector, size)
        if twin is not None:
            twin[frame] = to_pixels(console.shade(scene.cover(tissue), grain, grid), sector, size)
        for class_id, drawn in layers.items():
            where[class_id] |= _extent(drawn, sector, size)
    inside = sector.mask(*size)
    return Film(shown, twin, {class_id: _generous(mask) & inside for class_id, mask in where.items()})


def _alpha(layer: Layer) -> Plane:
    return np.where(layer.alpha > FAINT, layer.alpha, np.float32(0))


def _extent(layers: list[Layer], sector: Sector, size: tuple[int, int]) -> Grey:
    touched = np.logical_or.reduce([layer.alpha > FAINT for layer in layers])
    return to_pixels(touched.astype(np.uint8) * np.uint8(255), sector, size)


def _generous(mask: Grey) -> Mask:
    # Scan conversion interpolates between neighbours, so a sign reaches a little over its beams and samples.
    return cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
