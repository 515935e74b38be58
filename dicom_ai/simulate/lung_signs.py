"""Turns a chest into the layers of a lung sign: A-lines, B-lines, pleural effusion, consolidation.

Each function draws its random parts once and returns a painter of frames. What this is not: the chest itself.
"""

from collections.abc import Callable

import numpy as np

from dicom_ai.simulate.geometry import Plane
from dicom_ai.simulate.lung import Chest
from dicom_ai.simulate.scene import Layer, Painter
from dicom_ai.simulate.speckle import bump, clouds, step, wave


def a_lines(rng: np.random.Generator, chest: Chest, span: tuple[float, float]) -> Painter:
    """Repeats of the pleural line at multiples of its depth, fading, within the beams of `span` (-1..1)."""
    first, fade = chest.line_level - rng.uniform(3, 7), rng.uniform(2.0, 4.5)
    count, thick = int(rng.integers(2, 5)), rng.uniform(0.06, 0.10)
    beams = _window(chest, span, 0.08) * np.clip(1 + 0.15 * wave(rng, 7), 0.5, 1).astype(np.float32)

    def painter(frame: int) -> list[Layer]:
        pleura, depth = chest.pleura_at(frame), chest.grid.depth
        return [
            Layer(bump(depth, pleura * k, thick * (1 + 0.15 * k)) * beams, float(first - fade * (k - 2)))
            for k in range(2, 2 + count)
            if k == 2 or float(pleura.min()) * k < depth[-1, 0]
        ]

    return painter


def b_lines(rng: np.random.Generator, chest: Chest, span: tuple[float, float]) -> Painter:
    """One to five laser-like beams from the pleural line to the bottom, not fading, hiding A-lines."""
    count = int(rng.integers(1, 6))
    centre, half = (span[0] + span[1]) / 2, (span[1] - span[0]) / 2
    at = centre + half * np.clip(
        np.linspace(-0.8, 0.8, count) if count > 1 else np.array([rng.uniform(-0.6, 0.6)]), -1, 1
    )
    at = at + rng.uniform(-0.06, 0.06, count)
    width, level = rng.uniform(0.018, 0.04, count), chest.line_level - rng.uniform(2, 8, count)
    ripple = 2.0 * clouds(rng, 70, 20)
    sway, lag = rng.uniform(0.02, 0.07), rng.uniform(0, 2 * np.pi, count)

    def painter(frame: int) -> list[Layer]:
        start = step(chest.grid.depth - chest.pleura_at(frame), 0.05)
        layers = []
        for i in range(count):
            here = at[i] + sway * np.sin(chest.phase + frame * chest.breath + 0.3 * lag[i])
            flicker = 1.5 * np.sin(0.7 * frame + lag[i])
            widen = 1 + 0.25 * chest.grid.depth / chest.grid.depth[-1]
            beam = bump(chest.grid.across, float(here), (width[i] * widen).astype(np.float32)) * start
            layers.append(Layer(beam, (level[i] + flicker + ripple).astype(np.float32)))
        return layers

    return painter


def pleural_effusion(rng: np.random.Generator, chest: Chest, span: tuple[float, float]) -> Painter:
    """Echo-free space between the pleural line and the lung line, tapering, sometimes over the diaphragm."""
    room = float(chest.grid.depth[-1, 0] - chest.pleura.max())
    thick = min(rng.uniform(1.2, 4.0), 0.75 * room)
    lean, ripple = rng.uniform(-0.35, 0.35), 0.06 * wave(rng, 6)
    beams, bright = _window(chest, span, 0.10), rng.uniform(-14, -8)
    fluid, swing = rng.uniform(-74, -64), rng.uniform(0.0, 0.14)
    lung = rng.uniform(-40, -28) + 3 * clouds(rng, 30, 8)
    diaphragm = _diaphragm(rng, chest, thick) if rng.random() < 0.5 else None

    def painter(frame: int) -> list[Layer]:
        top = chest.pleura_at(frame) + np.float32(0.09)
        # The lung comes nearer in inspiration: the sinusoid sign of a clip.
        shape = thick * (1 + swing * chest.swing(frame)) * (1 + lean * chest.grid.across + ripple)
        deep = top + (shape * np.sqrt(beams)).astype(np.float32)
        space = step(chest.grid.depth - top, 0.03) * step(deep - chest.grid.depth, 0.04) * (beams > 0.05)
        under = step(chest.grid.depth - deep, 0.04) * step(deep + 1.2 - chest.grid.depth, 0.5) * beams
        line = bump(chest.grid.depth, deep + 0.04, 0.07) * beams
        layers = [
            Layer(space.astype(np.float32), float(fluid)),
            Layer(under.astype(np.float32), lung.astype(np.float32)),
        ]
        layers.append(Layer(line, float(bright)))
        return layers if diaphragm is None else [*layers, *diaphragm(beams)]

    return painter


def _diaphragm(rng: np.random.Generator, chest: Chest, thick: float) -> Callable[[Plane], list[Layer]]:
    side = rng.choice([-1.0, 1.0])
    pleura = float(chest.pleura.mean())
    organ = rng.uniform(-44, -32) + 2 * clouds(rng, 50, 30)
    reach = rng.uniform(0.3, 0.9)

    def layers(beams: Plane) -> list[Layer]:
        offset = side * chest.grid.across
        curve = (pleura + thick * (0.25 + 1.5 * np.maximum(reach - offset, 0) ** 0.8)).astype(np.float32)
        behind = step(chest.grid.depth - curve, 0.04) * beams * step(offset - reach + 1.0, 0.05)
        line = bump(chest.grid.depth, curve, 0.07) * beams * step(offset - reach + 1.0, 0.05)
        return [Layer(behind.astype(np.float32), organ.astype(np.float32)), Layer(line.astype(np.float32), -9.0)]

    return layers


def consolidation(rng: np.random.Generator, chest: Chest, span: tuple[float, float]) -> Painter:
    """Tissue-like wedge under the pleura with a shredded deep border and bright air bronchograms."""
    room = float(chest.grid.depth[-1, 0] - chest.pleura.max())
    deepest = min(rng.uniform(1.4, 4.0), 0.75 * room)
    beams = _window(chest, span, 0.16)
    shred = 0.14 * wave(rng, 9) + 0.09 * wave(rng, 22)
    border = deepest * np.clip(beams**0.6 * (1 + shred), 0, 1.3)
    # Told from the lung around it by texture and border; its level may lie on either side of the haze.
    away = rng.uniform(6, 10) * (1 if chest.haze_level < -42 else -1)
    body = (np.clip(chest.haze_level + away, -50, -36) + 1.5 * clouds(rng, 50, 40)).astype(np.float32)
    spots = _bronchograms(rng, chest, span, deepest)
    edge_level, edge = rng.uniform(-15, -9), np.clip(0.65 + 0.35 * wave(rng, 18), 0.1, 1)
    comets = np.clip(wave(rng, 24) - 0.7, 0, 0.8)

    def painter(frame: int) -> list[Layer]:
        top = chest.pleura_at(frame) + np.float32(0.09)
        deep = (top + border).astype(np.float32)
        inside = step(chest.grid.depth - top, 0.03) * step(deep - chest.grid.depth, 0.04) * (beams > 0.05)
        line = bump(chest.grid.depth, deep + 0.04, 0.09) * edge * (beams > 0.05)
        tail = step(chest.grid.depth - deep, 0.04) * step(deep + 1.0 - chest.grid.depth, 0.6) * comets * (beams > 0.05)
        flash = 2.0 * chest.swing(frame)
        return [
            Layer(inside.astype(np.float32), body),
            Layer(tail.astype(np.float32), float(edge_level - 8)),
            Layer(line.astype(np.float32), float(edge_level)),
            Layer((spots * inside).astype(np.float32), float(edge_level + 3 + flash)),
        ]

    return painter


def _bronchograms(rng: np.random.Generator, chest: Chest, span: tuple[float, float], deepest: float) -> Plane:
    spots = np.zeros(np.broadcast_shapes(chest.grid.depth.shape, chest.grid.across.shape), np.float32)
    half = (span[1] - span[0]) / 2
    for _ in range(int(rng.integers(5, 13))):
        across = (span[0] + span[1]) / 2 + half * rng.uniform(-0.6, 0.6)
        depth = float(chest.pleura.mean()) + deepest * rng.uniform(0.15, 0.7)
        lean, length = rng.uniform(-2.5, 2.5), rng.uniform(0.012, 0.06)
        along = bump(chest.grid.across, float(across), float(length))
        centre = (depth + lean * (chest.grid.across - across)).astype(np.float32)
        spots = np.maximum(spots, along * bump(chest.grid.depth, centre, rng.uniform(0.05, 0.09)))
    return spots


def _window(chest: Chest, span: tuple[float, float], softness: float) -> Plane:
    return step(chest.grid.across - span[0], softness) * step(span[1] - chest.grid.across, softness)
