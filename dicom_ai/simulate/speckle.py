"""Turns chance into texture: speckle, clouds and fibres in beam space, and echo levels into grey.

All levels are decibels below full white; the console (gain, TGC, dynamic range) is drawn for each phantom.
What this is not: anatomy. Nothing here knows what the echo levels mean.
"""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from dicom_ai.simulate.geometry import BEAMS, SAMPLES, Grey, Grid, Plane

DECIBEL = np.float32(10 / np.log(10))  # of the squared magnitude


class Speckle:
    """Fully developed speckle that moves: two fields of scatterers, turned into one another frame by frame."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the scatterers and the resolution cell."""
        axial, lateral = rng.uniform(0.9, 1.7), rng.uniform(1.0, 2.0)
        self._fields = [_field(rng, axial, lateral) for _ in range(4)]
        self._turn = float(rng.uniform(0.02, 0.09))
        self._slide = float(rng.uniform(0.5, 2.0))

    def at(self, frame: int) -> Plane:
        """Speckle of one frame in decibels, mean power 0 dB, float32 (SAMPLES, BEAMS)."""
        turned = np.float32(np.cos(frame * self._turn)), np.float32(np.sin(frame * self._turn))
        real = turned[0] * self._fields[0] + turned[1] * self._fields[2]
        imag = turned[0] * self._fields[1] + turned[1] * self._fields[3]
        power = real * real + imag * imag + np.float32(1e-4)
        decibels = cast(Plane, cv2.log(power)) * DECIBEL
        shift = round(self._slide * 4 * np.sin(frame * 0.25))
        return np.roll(decibels, shift, axis=1) if shift else decibels


@dataclass(frozen=True)
class Console:
    """What the operator set: it changes every grey level and says nothing of the patient.

    Attributes:
        gain: dB. slope: dB/cm of the TGC against depth. bend: dB, a hump of single TGC sliders.
        dynamic_range: dB shown between black and white. gamma: of the grey map.
        noise: dB of the receiver's noise above black.
    """

    gain: float
    slope: float
    bend: float
    bend_at: float
    dynamic_range: float
    gamma: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Console":
        """Draw a console by chance."""
        return cls(
            gain=float(rng.uniform(-9, 9)),
            slope=float(rng.uniform(-0.7, 0.7)),
            bend=float(rng.uniform(-6, 6)),
            bend_at=float(rng.uniform(0.1, 0.9)),
            dynamic_range=float(rng.uniform(52, 72)),
            gamma=float(rng.uniform(0.85, 1.35)),
            noise=float(rng.uniform(0, 7)),
        )

    def shade(self, level: Plane, speckle: Plane, grid: Grid) -> Grey:
        """Grey of echo `level` (dB) under `speckle` (dB), both (SAMPLES, BEAMS): uint8 (SAMPLES, BEAMS)."""
        deep = grid.depth / grid.depth[-1]
        tgc: Plane = (
            self.gain + self.slope * (grid.depth - grid.depth[-1] / 2) + self.bend * bump(deep, self.bend_at, 0.25)
        )
        # The receiver's noise is amplified with depth and keeps the far field of a dark picture from pure black.
        hiss = np.float32(self.noise - self.dynamic_range) + 3 * deep + speckle[::-1] * np.float32(0.6)
        heard = np.maximum(level + speckle + tgc, hiss)
        scaled = np.clip(heard * np.float32(1 / self.dynamic_range) + 1, 0, 1)
        table = (np.linspace(0, 1, 256) ** self.gamma * 255).astype(np.uint8)
        return cast(Grey, cv2.LUT((scaled * np.float32(255)).astype(np.uint8), table).astype(np.uint8, copy=False))


def bump(x: Plane, centre: float | Plane, width: float | Plane) -> Plane:
    """Gaussian bell of height 1; exactly 0 beyond three widths so that masks end somewhere."""
    squared = ((x - centre) / width) ** 2
    return cast(Plane, np.where(squared < 9, np.exp(-0.5 * squared), 0).astype(np.float32))


def step(x: Plane, softness: float) -> Plane:
    """0 below -softness, 1 above softness, linear between."""
    return cast(Plane, np.clip(x / np.float32(2 * softness) + np.float32(0.5), 0, 1).astype(np.float32))


def clouds(rng: np.random.Generator, axial: int, lateral: int) -> Plane:
    """Smooth noise of standard deviation about 1 with `axial` x `lateral` cells over the plane."""
    coarse = rng.standard_normal((axial + 3, lateral + 3)).astype(np.float32)
    return cast(Plane, cv2.resize(coarse, (BEAMS, SAMPLES), interpolation=cv2.INTER_CUBIC))


def wave(rng: np.random.Generator, cells: int) -> Plane:
    """Smooth curve over the beams, standard deviation about 1, float32 (1, BEAMS)."""
    coarse = rng.standard_normal((1, cells + 3)).astype(np.float32)
    return cast(Plane, cv2.resize(coarse, (BEAMS, 1), interpolation=cv2.INTER_CUBIC))


def _field(rng: np.random.Generator, axial: float, lateral: float) -> Plane:
    raw = rng.standard_normal((SAMPLES, BEAMS), dtype=np.float32)
    smooth = cv2.GaussianBlur(raw, (0, 0), sigmaX=lateral, sigmaY=axial, borderType=cv2.BORDER_REFLECT)
    # Standard deviation of blurred white noise, so that the mean power of the two parts is 1.
    return cast(Plane, smooth * np.float32(np.sqrt(2 * np.pi * axial * lateral)))
