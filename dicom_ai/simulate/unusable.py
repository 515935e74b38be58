"""Turns a seed into pictures a model must not judge: another organ, the probe in air, receiver noise.

What this is not: a class. These have no labels; they teach a model when to say nothing.
"""

from collections.abc import Callable

import numpy as np

from dicom_ai.simulate.geometry import BEAMS, SAMPLES, Grid, Plane
from dicom_ai.simulate.speckle import bump, clouds, step, wave

Tissue = Callable[[int], Plane]


def wrong_organ(rng: np.random.Generator, grid: Grid) -> Tissue:
    """Liver with vessels, a kidney, or an artery lengthwise."""
    draw = (_liver, _kidney, _artery)[int(rng.integers(3))]
    level = _near_field(rng, grid, draw(rng, grid))
    return lambda frame: np.roll(level, round(3 * np.sin(0.2 * frame)), axis=1)


def air(rng: np.random.Generator, grid: Grid) -> Tissue:
    """Bright bands close to the probe that die out, and nothing below."""
    spacing, decay = rng.uniform(0.12, 0.35), rng.uniform(5, 16)
    level = np.full((SAMPLES, BEAMS), rng.uniform(-95, -80), np.float32)
    patchy = 2.0 * wave(rng, 5)
    for k in range(1, int(rng.integers(5, 12))):
        peak = rng.uniform(-6, 0) - decay * k * spacing + patchy
        level = level + bump(grid.depth, float(k * spacing), 0.045) * (np.maximum(peak, level) - level)
    return lambda _frame: level


def noise(rng: np.random.Generator, grid: Grid) -> Tissue:
    """Nothing but noise that grows with depth and sometimes a few stripes of interference."""
    level = rng.uniform(-52, -34) + rng.uniform(0, 2.0) * (grid.depth - grid.depth[-1] / 2) + np.zeros((1, BEAMS))
    if rng.random() < 0.3:
        level = level + 4 * np.sin(grid.across * rng.uniform(20, 60) + rng.uniform(0, 6))
    level = level.astype(np.float32)
    return lambda frame: np.roll(level, 17 * frame, axis=1)


KINDS: dict[str, Callable[[np.random.Generator, Grid], Tissue]] = {
    "wrong_organ": wrong_organ,
    "air": air,
    "noise": noise,
}


def _near_field(rng: np.random.Generator, grid: Grid, level: Plane) -> Plane:
    wall = rng.uniform(0.6, 1.6) * (1 + 0.06 * wave(rng, 4))
    layers = rng.uniform(-34, -27) + 4 * clouds(rng, 90, 4)
    level = level + step((wall - grid.depth).astype(np.float32), 0.05) * (layers - level)
    skin = bump(grid.depth, 0.05, 0.07)
    return np.asarray(level + skin * (-12 - level), np.float32)


def _liver(rng: np.random.Generator, grid: Grid) -> Plane:
    level = rng.uniform(-36, -28) + 1.2 * clouds(rng, 60, 40) + 0 * grid.x
    for _ in range(int(rng.integers(4, 9))):
        level = _tube(rng, grid, level, float(rng.uniform(0.12, 0.45)), walls=bool(rng.random() < 0.5))
    return level


def _kidney(rng: np.random.Generator, grid: Grid) -> Plane:
    level = rng.uniform(-34, -28) + 1.5 * clouds(rng, 50, 40) + 0 * grid.x
    turn, depth = rng.uniform(-0.4, 0.4), float(grid.depth[-1, 0])
    x, z = grid.x - rng.uniform(-1, 1), grid.z - rng.uniform(0.45, 0.6) * depth
    along, across = x * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - x * np.sin(turn)
    scale = rng.uniform(0.85, 1.15) * min(1.0, depth / 10)
    outline = np.sqrt((along / (4.8 * scale)) ** 2 + (across / (2.3 * scale)) ** 2).astype(np.float32)
    level = level + step(1 - outline, 0.02) * (-41 + 1.5 * clouds(rng, 30, 30) - level)
    level = level + bump(outline, 1.0, 0.03) * (-20 - level)
    sinus = (outline * 2.1 + 0.12 * clouds(rng, 14, 14)).astype(np.float32)
    return np.asarray(level + step(1 - sinus, 0.15) * (-20 + 3 * clouds(rng, 40, 40) - level), np.float32)


def _artery(rng: np.random.Generator, grid: Grid) -> Plane:
    level = rng.uniform(-36, -30) + 3 * clouds(rng, 60, 6) + 0 * grid.x
    return _tube(rng, grid, level, float(rng.uniform(0.5, 0.9)), walls=True)


def _tube(rng: np.random.Generator, grid: Grid, level: Plane, radius: float, *, walls: bool) -> Plane:
    turn = rng.uniform(-1.2, 1.2)
    at_x, at_z = rng.uniform(-3, 3), rng.uniform(0.3, 0.9) * float(grid.depth[-1, 0])
    x, z = grid.x - at_x, grid.z - at_z
    across = np.abs(z * np.cos(turn) - x * np.sin(turn) + 0.05 * x**2 * rng.uniform(-1, 1)).astype(np.float32)
    along = (x * np.cos(turn) + z * np.sin(turn)).astype(np.float32)
    ends = step(np.float32(rng.uniform(1.5, 5)) - np.abs(along), 0.3)
    level = level + step(radius - across, 0.04) * ends * (-66 - level)
    if walls:
        level = level + bump(across, radius + 0.04, 0.06) * ends * (-18 - level)
    return np.asarray(level, np.float32)
