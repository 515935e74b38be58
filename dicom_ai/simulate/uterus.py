"""Turns a seed into a uterus seen through the vagina, and a lesion of its cavity into layers.

What this is not: a choice of label; the same womb is drawn whatever lesion it carries.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dicom_ai.simulate.geometry import Grid, Plane
from dicom_ai.simulate.scene import Layer, Painter, paint
from dicom_ai.simulate.speckle import bump, clouds, step


@dataclass(frozen=True)
class Oval:
    """An ellipse: centre (x, z) and half axes in cm, rotation in radians."""

    x: float
    z: float
    half_long: float
    half_short: float
    turn: float


@dataclass(frozen=True)
class Womb:
    """The anatomy common to every uterine picture; levels in dB, float32 (SAMPLES, BEAMS) where planes.

    Attributes:
        body: the outline. stripe: the endometrium. flexion: bend of the long axis, 1/cm.
        pear, uneven: how the outline differs from an ellipse. serosa: how much of it is seen, 0..1.
        around: bowel, fat and vagina. muscle, lining: echo levels of myometrium and endometrium.
    """

    grid: Grid
    body: Oval
    stripe: Oval
    flexion: float
    around: Plane
    muscle: Plane
    lining: Plane
    pear: float
    uneven: Plane
    serosa: Plane
    phase: float

    def within(self, oval: Oval, frame: int) -> Plane:
        """Distance from the centre of `oval` relative to its outline (1 on the outline), in one frame."""
        along, across = self.axes(oval, frame)
        return np.sqrt((along / oval.half_long) ** 2 + (across / oval.half_short) ** 2).astype(np.float32)

    def outline(self, frame: int) -> Plane:
        """As `within` of the body, but pear-shaped and a little uneven, as wombs are."""
        along, _ = self.axes(self.body, frame)
        pear = 1 + self.pear * np.clip(along / self.body.half_long, -1.2, 1.2)
        return np.asarray(self.within(self.body, frame) * pear + self.uneven, np.float32)

    def axes(self, oval: Oval, frame: int) -> tuple[Plane, Plane]:
        """Coordinates along and across `oval` in cm; the organ moves a little from frame to frame."""
        sway = np.float32(0.12 * np.sin(self.phase + 0.2 * frame))
        x, z = self.grid.x - np.float32(oval.x) - sway, self.grid.z - np.float32(oval.z) + sway / 3
        cos, sin = np.float32(np.cos(oval.turn)), np.float32(np.sin(oval.turn))
        along, across = x * cos + z * sin, z * cos - x * sin
        return along, across - np.float32(self.flexion) * along**2

    def place(self, along: float, across: float) -> tuple[float, float]:
        """Position (x, z) in cm of a point given along and across the endometrium."""
        cos, sin = np.cos(self.stripe.turn), np.sin(self.stripe.turn)
        across += self.flexion * along**2
        return float(self.stripe.x + along * cos - across * sin), float(self.stripe.z + along * sin + across * cos)

    def tissue(self, frame: int) -> Plane:
        """Echo levels of one frame without a lesion, dB, float32 (SAMPLES, BEAMS)."""
        body, stripe = self.outline(frame), self.within(self.stripe, frame) + 2 * self.uneven
        _, across = self.axes(self.stripe, frame)
        inside = step(1 - stripe, 0.06)
        return paint(
            self.around,
            [
                Layer(step(1 - body, 0.02), self.muscle),
                Layer(self.serosa * bump(body, 1.0, 0.022), -24.0),
                Layer(0.5 * step(1.5 - stripe, 0.15), self.muscle - 6),
                Layer(inside, self.lining),
                Layer(0.8 * bump(stripe, 1.0, 0.08), -19.0),
                Layer(0.7 * inside * bump(across, 0.0, 0.035), -16.0),
            ],
        )


def womb(rng: np.random.Generator, grid: Grid) -> Womb:
    """Draw a uterus: ante- or retroverted, anywhere in the sector where it is seen whole."""
    depth = float(grid.depth[-1, 0])
    long, short = rng.uniform(2.5, 3.4), rng.uniform(1.5, 2.1)
    turn = float(rng.choice([-1, 1]) * rng.uniform(0.0, 0.6))
    x, z = rng.uniform(-1.5, 1.5), short + rng.uniform(0.75, max(0.8, depth - 2 * short - 0.5))
    body = Oval(float(x), float(z), float(long), float(short), turn)
    shift = rng.choice([-1, 1]) * 0.12 * long
    thick = rng.uniform(0.26, 0.6)
    at = float(x + shift * np.cos(turn)), float(z + shift * np.sin(turn))
    stripe = Oval(*at, float(0.62 * long), float(thick), turn)
    return Womb(
        grid=grid,
        body=body,
        stripe=stripe,
        flexion=float(rng.uniform(-0.05, 0.05)),
        around=_around(rng, grid),
        muscle=(rng.uniform(-38, -32) + 2.2 * clouds(rng, 40, 30) + 2.0 * clouds(rng, 8, 8)).astype(np.float32),
        lining=(rng.uniform(-28, -22) + 1.5 * clouds(rng, 60, 40)).astype(np.float32),
        pear=float(rng.choice([-1, 1]) * rng.uniform(0.05, 0.18)),
        uneven=(0.035 * clouds(rng, 8, 8)).astype(np.float32),
        serosa=np.clip(0.6 + 0.4 * clouds(rng, 8, 10), 0.1, 1).astype(np.float32),
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def endometrial_polyp(rng: np.random.Generator, organ: Womb) -> Painter:
    """Bright oval within the endometrium with a fine bright rim, sometimes with small cysts."""
    half = organ.stripe.half_long
    small = float(np.clip(rng.uniform(0.9, 1.35) * organ.stripe.half_short, 0.38, 0.75))
    along = float(rng.uniform(-0.5, 0.5)) * half
    x, z = organ.place(along, float(rng.uniform(-0.15, 0.15)) * small)
    turn = organ.stripe.turn + float(rng.uniform(-0.25, 0.25))
    lesion = Oval(x, z, small * float(rng.uniform(1.1, 1.9)), small, turn)
    lumps = np.float32(0.05) * clouds(rng, 24, 24)
    body = (rng.uniform(-19, -14) + 1.2 * clouds(rng, 60, 60)).astype(np.float32)
    cysts = [
        Oval(x + float(rng.uniform(-0.4, 0.4)) * small, z + float(rng.uniform(-0.4, 0.4)) * small, 0.07, 0.06, 0.0)
        for _ in range(int(rng.integers(0, 4)))
    ]

    def painter(frame: int) -> list[Layer]:
        inside = np.asarray(organ.within(lesion, frame) + lumps, np.float32)
        holes = [Layer(step(1 - organ.within(cyst, frame), 0.25), -55.0) for cyst in cysts]
        return [
            Layer(0.8 * step(1.17 - inside, 0.06), -42.0),
            Layer(step(1 - inside, 0.05), body),
            *holes,
            Layer(bump(inside, 1.0, 0.04), -8.0),
        ]

    return painter


def submucous_fibroid(rng: np.random.Generator, organ: Womb) -> Painter:
    """Round hypoechoic mass with whorls and shadows that bulges into the endometrium."""
    radius = float(rng.uniform(0.75, min(1.25, 0.72 * organ.body.half_short)))
    side = float(rng.choice([-1.0, 1.0]))
    along = float(rng.uniform(-0.5, 0.5)) * organ.stripe.half_long
    x, z = organ.place(along, side * radius * float(rng.uniform(0.25, 0.65)))
    mass = Oval(x, z, radius * float(rng.uniform(1.0, 1.2)), radius, float(rng.uniform(0, np.pi)))
    level, rings = rng.uniform(-52, -45), rng.uniform(1.8, 3.2)
    wobble, broken = 0.22 * clouds(rng, 18, 22), np.clip(0.75 + 0.35 * clouds(rng, 16, 16), 0.2, 1)
    shadow, lumps = rng.uniform(0.25, 0.6), np.float32(0.03) * clouds(rng, 18, 18)

    def painter(frame: int) -> list[Layer]:
        inside = organ.within(mass, frame) + lumps
        _, across = organ.axes(organ.stripe, frame)
        whorls = level + 5.0 * np.sin(2 * np.pi * rings * (inside + wobble))
        lining = bump(inside, 1.06, 0.06) * step(-side * across + 0.3, 0.25)
        return [
            *_shadows(organ, inside, shadow),
            Layer(step(1 - inside, 0.04), whorls.astype(np.float32)),
            Layer((bump(inside, 1.0, 0.035) * broken).astype(np.float32), -25.0),
            Layer(lining, -17.0),
        ]

    return painter


LESIONS: dict[str, Callable[[np.random.Generator, Womb], Painter]] = {
    "endometrial_polyp": endometrial_polyp,
    "submucous_fibroid": submucous_fibroid,
}


def _shadows(organ: Womb, inside: Plane, strength: float) -> list[Layer]:
    """Behind the mass the beam is weaker, most at its edges, where it is refracted."""
    hit = inside.min(axis=0, keepdims=True)
    first = organ.grid.depth[np.argmin(inside, axis=0)].reshape(1, -1)
    behind = step(organ.grid.depth - first, 0.3) * step(inside - 1, 0.1)
    through = np.float32(strength) * (0.8 * step(1 - hit, 0.1) + 0.5 * bump(hit, 0.97, 0.10))
    return [Layer((behind * np.minimum(through, 0.9)).astype(np.float32), -60.0)]


def _around(rng: np.random.Generator, grid: Grid) -> Plane:
    level = rng.uniform(-38, -30) + 4.0 * clouds(rng, 9, 9) + 2.5 * clouds(rng, 40, 12)
    for _ in range(int(rng.integers(1, 5))):  # bowel gas: bright front, dirty shadow
        at, deep = rng.uniform(-0.9, 0.9), rng.uniform(0.55, 0.95) * float(grid.depth[-1, 0])
        beam = bump(grid.across, float(at), float(rng.uniform(0.04, 0.12)))
        level = level + bump(grid.depth, float(deep), 0.10) * beam * (-14 - level)
        level = level + step(grid.depth - deep, 0.15) * beam * 0.6 * (-48 - level)
    if rng.random() < 0.5:  # poor contact at part of the probe: a shadow from the surface down
        level = level - rng.uniform(8, 18) * bump(
            grid.across, float(rng.uniform(-1, 1)), float(rng.uniform(0.05, 0.12))
        )
    wall = rng.uniform(0.5, 0.9)
    level = level + step(wall - grid.depth, 0.05) * (rng.uniform(-30, -24) + 2 * clouds(rng, 90, 3) - level)
    level = level + bump(grid.depth, 0.05, 0.06) * (-9 - level)
    if rng.random() < 0.4:  # some urine in the bladder, in front of the uterus
        side, reach = rng.choice([-1, 1]), rng.uniform(0.5, 1.0)
        offset = np.sqrt(((grid.x - side * rng.uniform(1.8, 2.6)) / 1.3) ** 2 + ((grid.z - 1.1) / reach) ** 2)
        level = level + step((1 - offset).astype(np.float32), 0.05) * (-68 - level)
    return np.asarray(level, np.float32)
