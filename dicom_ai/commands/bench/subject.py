"""What the crop is measured on: one simulated acquisition on one screen, known or never seen, by seed and number.

A subject depends on nothing but the seed and its number, so that one finding can be looked at again alone. What this
is not: the texts painted on it; see `cases`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from dicom_ai.simulate import phantom as draw
from dicom_ai.simulate.beams import SHAPES, Shape, cut_sides, dimmed, reshaped
from dicom_ai.simulate.dataset import ExamKind, Moment, add_pixels, add_regions, identified
from dicom_ai.simulate.device import Device, devices
from dicom_ai.simulate.drawn_layouts import drawn_device, drawn_layout
from dicom_ai.simulate.geometry import Grey
from dicom_ai.simulate.patients import patient_of
from dicom_ai.simulate.phantom import Phantom
from dicom_ai.simulate.places import Ground
from dicom_ai.simulate.screen import Header, Layout, Screen, layouts, screen

Which = Literal["known", "drawn", "all"]

DRAWN = 12
"""Screens nobody has seen that one run draws."""

CLIP_FRAMES = 6
"""Enough that what stands still can be told from what moves; every one of them is kept and looked at."""

_CLIPS = frozenset({1, 4, 6, 9, 12})  # of each 14 subjects
_ROUND = 14
_BEGUN = datetime(2024, 3, 4, 8, 0)  # noqa: DTZ001 - scanners write local time without a zone

Kind = Literal["lung", "uterus", "wrong_organ"]
_KINDS: tuple[Kind, ...] = ("lung", "uterus", "lung", "wrong_organ")


@dataclass(frozen=True)
class Subject:
    """One acquisition.

    Attributes:
        seed, number: which; they decide the rest.
        device: that made it. layout: its screen. is_known: from `layouts.toml`, else drawn.
        kind: what was scanned. shape: of the transducer.
        shown: the screen as it is without a painted text.
        is_dim: darkened, half dark or cut at the sides.
    """

    seed: int
    number: int
    device: Device
    layout: Layout
    is_known: bool
    kind: Kind
    shape: Shape
    shown: Screen = field(repr=False)
    is_dim: bool

    @property
    def is_clip(self) -> bool:
        """Whether it has more than one frame."""
        return len(self.shown.frames) > 1

    @property
    def ground(self) -> Ground:
        """Where texts may be painted."""
        x0, y0, x1, y1 = self.shown.region
        return Ground(self.shown.sector_mask, (x0, y0, min(x1 + 1, self.layout.columns), min(y1 + 1, self.layout.rows)))

    def dataset(self, frames: Grey, stated: tuple[str, str, str] | None = None, part: int = 0) -> Dataset:
        """The object as its scanner writes it.

        Args:
            frames: of the screen, painted or not.
            stated: (PatientName, PatientID, PatientBirthDate) of the header; None for the simulator's patient.
            part: tells the objects of one subject apart.
        """
        exam: ExamKind = "uterus" if self.kind == "uterus" else "lung"
        patient = patient_of(self.seed + self.number)
        if stated is not None:
            name, number, born = stated
            patient = replace(patient, name=name, id=number, birth_date=born, terms=("ISO_IR 192",))
        moment = Moment(self.seed, 100 * self.number + part, _BEGUN, _BEGUN)
        ds = identified(exam, patient, moment, self.device)
        add_regions(ds, self.shown, self.device)
        add_pixels(ds, frames, self.device, compressed=True)
        return ds


def is_clip(number: int) -> bool:
    """Whether the subject of a number is a clip."""
    return number % _ROUND in _CLIPS


def subject(seed: int, number: int, which: Which) -> Subject:
    """Make one.

    Args:
        seed: of the run.
        number: from 0.
        which: whether its screen is a known one or drawn; for "all" every other one.
    """
    rng = np.random.default_rng([seed, number, 0x5B])
    is_known = which == "known" or (which == "all" and number // 2 % 2 == 0)
    device, layout = _screen_of(seed, number, is_clip=is_clip(number), is_known=is_known)
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    shape = SHAPES[0] if is_known and rng.random() < 0.6 else SHAPES[int(rng.integers(len(SHAPES)))]
    size = layout.picture[3], layout.picture[2]
    drawn = _phantom(kind, int(rng.integers(1 << 31)), CLIP_FRAMES if is_clip(number) else 1, size)
    drawn, is_dim = _spoiled(reshaped(drawn, shape, rng), rng)
    patient = patient_of(seed + number)
    header = Header(name=patient.screen_name, id=patient.id, exam="Abdomen", caption="RT LUNG" if number % 2 else "SAG")
    shown = screen(drawn, layout, header, rgb=device.colour)
    return Subject(seed, number, device, layout, is_known, kind, shape, shown, is_dim)


def _screen_of(seed: int, number: int, *, is_clip: bool, is_known: bool) -> tuple[Device, Layout]:
    if is_known:
        device = list(devices().values())[number % len(devices())]
        return device, layouts()[device.clip if is_clip else device.still]
    index = number % DRAWN
    rng = np.random.default_rng([seed, index, 0xD4A])
    layout = drawn_layout(rng, f"drawn-{index}")
    return drawn_device(rng, layout), layout


def _phantom(kind: Kind, seed: int, frames: int, size: tuple[int, int]) -> Phantom:
    if kind == "uterus":
        return draw.uterus(seed, label=draw.UTERINE_LABELS[seed % 3], frames=frames, size=size)
    if kind == "lung":
        signs = sorted(draw.LUNG_SIGNS)
        return draw.lung(seed, labels={signs[seed % 4], signs[seed // 4 % 4]}, frames=frames, size=size)
    return draw.wrong_organ(seed, frames=frames, size=size, shape="transvaginal" if seed % 2 else "curvilinear")


def _spoiled(drawn: Phantom, rng: np.random.Generator) -> tuple[Phantom, bool]:
    """Every third picture is darker than it should be, half dark, or cut by a narrow window."""
    chance: Callable[[], float] = rng.random
    if chance() < 0.67:
        return drawn, False
    if chance() < 0.4:
        drawn = cut_sides(drawn, float(rng.uniform(0.02, 0.15)))
    begin = float(rng.uniform(0.0, 0.7))
    dark = (begin, begin + float(rng.uniform(0.15, 0.4))) if chance() < 0.5 else (0.0, 0.0)
    return dimmed(drawn, float(rng.uniform(0.45, 1.1)), dark), True
