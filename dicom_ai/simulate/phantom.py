"""Turns a seed and a label into an ultrasound phantom: frames, where each sign is, and the twin without the signs.

What depends on the label (the sign) and what does not (anatomy, console, speckle, sector) are drawn from
separate streams of the same seed, so that no setting betrays a label. What this is not: a scanner's screen.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from dicom_ai.simulate import lung_signs, unusable
from dicom_ai.simulate import uterus as womb
from dicom_ai.simulate.geometry import Grey, Mask, Sector, SectorKind, grid_of, random_sector
from dicom_ai.simulate.lung import chest
from dicom_ai.simulate.scene import Painter, Scene, film
from dicom_ai.simulate.speckle import Console, Speckle

Size = tuple[int, int]
SIZE: Size = (560, 700)

LUNG_SIGNS: dict[str, Callable[..., Painter]] = {
    "a_lines": lung_signs.a_lines,
    "b_lines": lung_signs.b_lines,
    "pleural_effusion": lung_signs.pleural_effusion,
    "consolidation": lung_signs.consolidation,
}
UTERINE_LABELS = ("endometrial_polyp", "submucous_fibroid", "normal")


@dataclass(frozen=True)
class Phantom:
    """A simulated acquisition.

    Attributes:
        frames: uint8 (T, H, W), black outside the sector.
        sector_mask: bool (H, W).
        signs: class id -> bool (H, W), where the sign is in any frame, a few pixels generous.
        labels: class ids present ("normal" of the uterus has no mask).
        kind: lung, uterus, wrong_organ, air or noise.
        twin: uint8 (T, H, W), the same acquisition without the signs, equal outside their masks; None without signs.
    """

    frames: Grey
    sector_mask: Mask
    sector: Sector
    signs: dict[str, Mask]
    labels: frozenset[str]
    kind: str
    twin: Grey | None = field(default=None, repr=False)


def lung(
    seed: int, *, labels: Iterable[str], frames: int = 1, size: Size = SIZE, sector: Sector | None = None
) -> Phantom:
    """Lung picture or clip showing `labels`, any subset of `LUNG_SIGNS`; none shows a lung without a sign."""
    names = sorted(labels)
    if unknown := set(names) - set(LUNG_SIGNS):
        raise ValueError(f"unknown lung signs {sorted(unknown)}; use {sorted(LUNG_SIGNS)}")
    streams = np.random.default_rng(seed).spawn(5)
    pleura_cm = float(streams[0].uniform(1.5, 3.5))
    depth_cm = float(streams[0].uniform(max(7.5, 2.6 * pleura_cm), 14.0))
    sector = sector or random_sector(streams[1], "curvilinear", size, depth_cm)
    grid = grid_of(sector)
    body = chest(streams[2], grid, min(pleura_cm, sector.depth_cm / 2.6))
    spans = _spans(streams[3], len(names), body.window)
    # One stream per class, whatever else is drawn: two signs together look as each does alone.
    own = dict(zip(sorted(LUNG_SIGNS), streams[3].spawn(len(LUNG_SIGNS)), strict=True))
    painters = {name: LUNG_SIGNS[name](own[name], body, span) for name, span in zip(names, spans, strict=True)}
    scene = Scene(body.tissue, painters, body.shaded)
    return _phantom(scene, sector, streams[4], frames=frames, size=size, named=("lung", frozenset(names)))


def uterus(seed: int, *, label: str, frames: int = 1, size: Size = SIZE, sector: Sector | None = None) -> Phantom:
    """Transvaginal picture or clip of a uterus with an endometrial polyp, a submucous fibroid, or neither."""
    if label not in UTERINE_LABELS:
        raise ValueError(f"unknown label {label!r}; use {sorted(UTERINE_LABELS)}")
    streams = np.random.default_rng(seed).spawn(5)
    sector = sector or random_sector(streams[1], "transvaginal", size, float(streams[0].uniform(5.8, 8.5)))
    organ = womb.womb(streams[2], grid_of(sector))
    painters: dict[str, Painter] = {} if label == "normal" else {label: womb.LESIONS[label](streams[3], organ)}
    scene = Scene(organ.tissue, painters)
    return _phantom(scene, sector, streams[4], frames=frames, size=size, named=("uterus", frozenset({label})))


def wrong_organ(
    seed: int, *, frames: int = 1, size: Size = SIZE, sector: Sector | None = None, shape: SectorKind = "curvilinear"
) -> Phantom:
    """Liver with vessels, a kidney or an artery: a fair picture of what the task does not ask for."""
    return _unusable("wrong_organ", seed, frames=frames, size=size, sector=sector, shape=shape)


def air(
    seed: int, *, frames: int = 1, size: Size = SIZE, sector: Sector | None = None, shape: SectorKind = "curvilinear"
) -> Phantom:
    """Probe in air: bright bands in the near field and nothing below."""
    return _unusable("air", seed, frames=frames, size=size, sector=sector, shape=shape)


def noise(
    seed: int, *, frames: int = 1, size: Size = SIZE, sector: Sector | None = None, shape: SectorKind = "curvilinear"
) -> Phantom:
    """Receiver noise in the shape of a sector."""
    return _unusable("noise", seed, frames=frames, size=size, sector=sector, shape=shape)


def _unusable(kind: str, seed: int, *, frames: int, size: Size, sector: Sector | None, shape: SectorKind) -> Phantom:
    streams = np.random.default_rng(seed).spawn(5)
    depth_cm = float(streams[0].uniform(7, 14) if shape == "curvilinear" else streams[0].uniform(5.8, 8.5))
    sector = sector or random_sector(streams[1], shape, size, depth_cm)
    scene = Scene(unusable.KINDS[kind](streams[2], grid_of(sector)), {})
    return _phantom(scene, sector, streams[4], frames=frames, size=size, named=(kind, frozenset()))


def _phantom(
    scene: Scene,
    sector: Sector,
    rng: np.random.Generator,
    *,
    frames: int,
    size: Size,
    named: tuple[str, frozenset[str]],
) -> Phantom:
    look = Speckle(rng), Console.draw(rng)
    shot = film(scene, sector, look, frames=frames, size=size)
    kind, labels = named
    return Phantom(shot.frames, sector.mask(*size), sector, shot.signs, labels, kind, shot.twin)


def _spans(rng: np.random.Generator, count: int, window: tuple[float, float]) -> list[tuple[float, float]]:
    """Beams (-1..1) given to each of `count` signs within `window`: anywhere for one, side by side for more."""
    slot_width = (window[1] - window[0]) / max(count, 1)
    spans = []
    for slot in rng.permutation(count):
        wide = min(slot_width, rng.uniform(0.65, 1.3)) if count < 2 else slot_width * rng.uniform(0.75, 0.95)
        left = window[0] + slot_width * slot + rng.uniform(0, slot_width - wide)
        spans.append((float(left), float(left + wide)))
    return spans
