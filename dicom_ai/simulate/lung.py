"""Turns a seed into a chest: wall layers, ribs with shadows, the pleural line and the haze under it.

What this is not: a sign. What is drawn here is drawn for every class alike; the signs are in `lung_signs`.
"""

from dataclasses import dataclass

import numpy as np

from dicom_ai.simulate.geometry import Grid, Plane
from dicom_ai.simulate.speckle import bump, clouds, step, wave


@dataclass(frozen=True)
class Rib:
    """A rib across the beams: where (-1..1), half width, depth in cm."""

    at: float
    half_width: float
    depth: float


@dataclass(frozen=True)
class Chest:
    """The anatomy common to every lung picture.

    Attributes:
        pleura: depth of the pleural line, cm, float32 (1, BEAMS). wall: echo level of skin to pleura.
        haze: what is heard under the pleura where nothing is seen, dB, float32 (SAMPLES, BEAMS).
        haze_level: its mean. line_level: dB of the pleural line. breath: radians of the breathing cycle per frame.
    """

    grid: Grid
    pleura: Plane
    wall: Plane
    haze: Plane
    haze_level: float
    line_level: float
    ribs: tuple[Rib, ...]
    breath: float
    phase: float

    def pleura_at(self, frame: int) -> Plane:
        """Depth of the pleural line in one frame, cm (1, BEAMS)."""
        return self.pleura + np.float32(0.06 * self.swing(frame))

    def swing(self, frame: int) -> float:
        """Breathing, -1 to 1."""
        return float(np.sin(self.phase + frame * self.breath))

    def tissue(self, frame: int) -> Plane:
        """Echo levels of one frame without any sign, dB, float32 (SAMPLES, BEAMS)."""
        pleura = self.pleura_at(frame)
        below = self.grid.depth - pleura
        level = np.where(below < 0, self.wall, self.haze)
        line = bump(below, 0.03, 0.055)
        return np.asarray(level + line * (np.float32(self.line_level) - level), np.float32)

    def shaded(self, level: Plane) -> Plane:
        """Lay ribs and their shadows over echo levels; a shadow hides signs as well as tissue."""
        return _with_ribs(level, self.grid, self.ribs)

    @property
    def window(self) -> tuple[float, float]:
        """Beams (-1..1) between the ribs, where the pleura is seen."""
        left = max([r.at + r.half_width for r in self.ribs if r.at < 0], default=-0.97)
        right = min([r.at - r.half_width for r in self.ribs if r.at > 0], default=0.97)
        return left, right


def chest(rng: np.random.Generator, grid: Grid, pleura_cm: float) -> Chest:
    """Draw a chest whose pleural line lies about `pleura_cm` deep."""
    tilt, bend = rng.uniform(-0.12, 0.12), rng.uniform(-0.1, 0.25)
    pleura = pleura_cm * (1 + tilt * grid.across * 0.5 + bend * 0.4 * grid.across**2) + 0.025 * wave(rng, 6)
    pleura = pleura.astype(np.float32)
    haze_level = float(rng.uniform(-60, -33))
    return Chest(
        grid=grid,
        pleura=pleura,
        wall=_wall(rng, grid, pleura),
        haze=_haze(rng, grid, pleura, haze_level),
        haze_level=haze_level,
        line_level=float(rng.uniform(-9, -4)),
        ribs=_ribs(rng, pleura_cm),
        breath=float(rng.uniform(0.1, 0.25)),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _wall(rng: np.random.Generator, grid: Grid, pleura: Plane) -> Plane:
    deep = grid.depth / pleura
    fat_ends, bend = rng.uniform(0.3, 0.6), 0.03 * wave(rng, 4)
    fat = rng.uniform(-38, -30) + 2.5 * clouds(rng, 60, 5) + 9 * np.maximum(clouds(rng, 45, 7) - 1.1, 0)
    muscle = rng.uniform(-36, -27) + 4.0 * clouds(rng, 110, 4) + 2.0 * clouds(rng, 30, 9)
    level = fat + step(deep - fat_ends - bend, 0.02) * (muscle - fat)
    for fascia in (fat_ends, rng.uniform(0.75, 0.93)):
        level = level + bump(deep, fascia + bend, 0.015) * (rng.uniform(-24, -16) - level)
    skin = bump(grid.depth, 0.05, 0.07) + 0.5 * bump(grid.depth, 0.28, 0.05)
    return np.asarray(level + skin * (rng.uniform(-16, -8) - level), np.float32)


def _haze(rng: np.random.Generator, grid: Grid, pleura: Plane, mean: float) -> Plane:
    below = np.maximum(grid.depth - pleura, 0)
    level = mean - rng.uniform(0.0, 1.8) * below
    level = level + 2.5 * clouds(rng, 40, 4) + 2.5 * clouds(rng, 6, 6)
    # Patches, a side that couples worse, a lit or dim middle: neither darkness nor brightness may name a sign.
    level = level + rng.uniform(2, 7) * clouds(rng, 2, 2)
    level = level + rng.uniform(-7, 7) * grid.across + rng.uniform(-9, 9) * (np.abs(grid.across) - 0.5)
    return np.asarray(level, np.float32)


def _ribs(rng: np.random.Generator, pleura_cm: float) -> tuple[Rib, ...]:
    count = int(rng.choice([0, 1, 2], p=[0.4, 0.35, 0.25]))
    sides = rng.permutation([-1, 1])[:count]
    return tuple(
        Rib(
            float(side * rng.uniform(0.55, 1.0)),
            float(rng.uniform(0.12, 0.22)),
            pleura_cm * float(rng.uniform(0.5, 0.75)),
        )
        for side in sides
    )


def _with_ribs(level: Plane, grid: Grid, ribs: tuple[Rib, ...]) -> Plane:
    for rib in ribs:
        offset = (grid.across - rib.at) / rib.half_width
        surface = np.float32(rib.depth) + np.float32(0.35) * np.minimum(offset**2, 4)
        beam = step(1 - np.abs(offset), 0.12)
        behind = step(grid.depth - surface, 0.04) * beam
        level = level + behind * (np.float32(-58) - level)
        level = level + bump(grid.depth, surface + 0.03, 0.06) * beam * (np.float32(-10) - level)
    return np.asarray(level, np.float32)
