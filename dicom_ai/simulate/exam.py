"""Turns a patient and a list of shots into the DICOM objects of one study, as a scanner writes them.

What was drawn is returned beside the objects (`Truth`) and never stands in them. What this is not: a sender.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from dicom_ai.simulate import phantom as draw
from dicom_ai.simulate.dataset import ExamKind, Moment, add_pixels, add_regions, identified
from dicom_ai.simulate.device import Device, device, devices
from dicom_ai.simulate.geometry import Mask, SectorKind
from dicom_ai.simulate.patients import Patient
from dicom_ai.simulate.phantom import Phantom
from dicom_ai.simulate.screen import Header, layouts, screen, sector_size

FIRST_DAY = datetime(2024, 3, 4, 8, 0)  # noqa: DTZ001 - scanners write local time without a zone


@dataclass(frozen=True)
class Shot:
    """One press of the store key.

    Attributes:
        labels: what is to be seen; for the uterus exactly one. Ignored for the unusable kinds.
        frames: 1 for a still. kind: None for the exam's own anatomy, else wrong_organ, air or noise.
        rgb: a colour still. compressed: whether a clip is JPEG Baseline (else uncompressed, one channel).
    """

    labels: frozenset[str]
    frames: int = 1
    kind: Literal["wrong_organ", "air", "noise"] | None = None
    rgb: bool = False
    compressed: bool = True


@dataclass(frozen=True)
class Truth:
    """What was drawn in one object."""

    labels: frozenset[str]
    kind: str
    polygon: tuple[tuple[float, float], ...]
    sector_mask: Mask = field(repr=False)
    signs: dict[str, Mask] = field(repr=False)


@dataclass(frozen=True)
class Exam:
    """The objects of one study in the order of their making, and what was drawn by SOP Instance UID."""

    objects: tuple[Dataset, ...] = field(repr=False)
    truth: dict[str, Truth] = field(repr=False)

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def study_instance_uid(self) -> str:
        """Study Instance UID of every object."""
        return str(self.objects[0].StudyInstanceUID).strip()


def exam(kind: ExamKind, *, seed: int, patient: Patient, layout: str = "logiq-e9", content: Sequence[Shot]) -> Exam:
    """Make one study.

    Args:
        kind: what was examined.
        seed: of pictures, UIDs and times.
        patient: who was examined.
        layout: the name of a device (one screen for stills, one for clips), or of a layout, then of a LOGIQ E9.
        content: at least one shot.

    Returns:
        Data sets with `file_meta`, ready to be saved or sent, and their truth.
    """
    scanner = devices().get(layout, device("logiq-e9"))
    made: list[Dataset] = []
    truth: dict[str, Truth] = {}
    begun = FIRST_DAY + timedelta(days=seed % 200, minutes=17 * (seed % 23))
    for number, shot in enumerate(content, start=1):
        at = begun + timedelta(seconds=41 * number)
        layout_name = _layout_of(layout, scanner, shot)
        phantom = _phantom(kind, shot, seed * 1000 + number, sector_size(layout_name))
        header = replace(_header(kind, patient, at, shot), probe=scanner.probes[kind])
        shown = screen(phantom, layout_name, header, rgb=shot.rgb or scanner.colour)
        ds = identified(kind, patient, Moment(seed, number, begun, at), scanner)
        add_regions(ds, shown, scanner)
        add_pixels(ds, shown.frames, scanner, compressed=shot.compressed)
        made.append(ds)
        polygon = tuple(shown.sector.polygon())
        truth[ds.SOPInstanceUID] = Truth(phantom.labels, phantom.kind, polygon, shown.sector_mask, shown.signs)
    return Exam(tuple(made), truth)


def _layout_of(layout: str, scanner: Device, shot: Shot) -> str:
    if layout in layouts():
        return layout
    return scanner.clip if shot.frames > 1 else scanner.still


def _phantom(kind: ExamKind, shot: Shot, seed: int, size: tuple[int, int]) -> Phantom:
    if shot.kind is not None:
        make: dict[str, Callable[..., Phantom]] = {
            "wrong_organ": draw.wrong_organ,
            "air": draw.air,
            "noise": draw.noise,
        }
        shape: SectorKind = "transvaginal" if kind == "uterus" else "curvilinear"
        return make[shot.kind](seed, frames=shot.frames, size=size, shape=shape)
    if kind == "lung":
        return draw.lung(seed, labels=shot.labels, frames=shot.frames, size=size)
    (label,) = shot.labels
    return draw.uterus(seed, label=label, frames=shot.frames, size=size)


def _header(kind: ExamKind, patient: Patient, at: datetime, shot: Shot) -> Header:
    born = datetime.strptime(patient.birth_date, "%Y%m%d")  # noqa: DTZ007 - a birth date has no zone
    return Header(
        name=patient.screen_name,
        id=patient.id,
        birth=born.strftime("%m/%d/%Y"),
        sex=patient.sex,
        date=at.strftime("%m/%d/%Y"),
        time=at.strftime("%I:%M:%S %p"),
        exam="Gyn" if kind == "uterus" else "Abdomen",
        # The caption tells where the probe was, never what is seen: text must not betray the label.
        caption="UT SAG" if kind == "uterus" else ("RT LUNG" if at.second % 2 else "LT LUNG"),
        frequency="7.0" if kind == "uterus" else "4.0",
        rate="30" if shot.frames > 1 else "31",
    )


def demo_content(kind: ExamKind, seed: int) -> tuple[Shot, ...]:
    """Shots of a study of the demonstration: a lung study has four stills and a clip, a uterine one three stills."""
    if kind == "uterus":
        label = frozenset({draw.UTERINE_LABELS[seed % len(draw.UTERINE_LABELS)]})
        return (Shot(label), Shot(label), Shot(label, rgb=True))
    signs = sorted(draw.LUNG_SIGNS)
    stills = [Shot(frozenset({str(name)})) for name in np.random.default_rng([seed, 0x4C55]).permutation(signs)]
    stills[-1] = Shot(stills[-1].labels, rgb=True)
    return (*stills, Shot(frozenset({"b_lines"}), frames=24))
