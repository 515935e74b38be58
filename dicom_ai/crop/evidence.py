"""Grey pixels to small planes of evidence: where a screen is lit, how brightly, and where it is painted flat.

A frame is looked at in blocks of about four pixels, so that everything but the last refinement works on a few ten
thousand values. What this is not: a judgement on what is picture; nothing here knows a shape.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

LONGEST = 290
"""Blocks along the longer side of a frame, about: 4 pixels each at 1164x873."""

STEPS = (1, 2, 3)
"""Grey levels above the screen's black from which a pixel may count as lit, the least first. A clean screen shows a
picture darkened to two or three levels; on a noisy one, or one compressed hard, only more than `USUAL` means light."""

USUAL = 4
"""Levels above black that count as lit on every screen."""

LEAST_EMPTY = 0.15
"""Share of blocks without one lit pixel below which the screen's black is noise at that level. Scan shapes leave at
least the corners of the frame empty."""

MOST_HALO = 0.2
"""Share of the blocks beside lone letters that may be lit at a level; more is what lossy compression spreads around
every edge, also around the picture's."""

PAINT = 128
"""Grey level some pixel of a letter, tick or bar reaches; scraps of faint tissue do not."""

FLAT = 2
"""Difference of grey levels in a block that counts as painted; lossy compression adds this much to a flat area."""

PATCH = 11
"""Pixels to a side of the least area that is called painted."""


@dataclass(frozen=True)
class Evidence:
    """What the blocks of one frame show; planes are (H // scale, W // scale).

    Attributes:
        scale: pixels per block side.
        black: grey level of the empty screen. level: a pixel above it is lit.
        lit: uint8, 255 x the share of lit pixels. sure: the same with the usual level.
        peak: uint8, brightest pixel. steps: uint8, the same less the darkest.
        painted: uint8 0/1, flat areas such as bars and banners, with what is on them.
    """

    scale: int
    black: int
    level: int
    lit: Grey
    sure: Grey
    peak: Grey
    steps: Grey
    painted: Grey


def brightest_channel(frame: Grey) -> Grey:
    """The largest channel of uint8 (H, W, C), C 1 or 3, as (H, W); grey pixels (H, W) and C 1 are not copied."""
    if frame.ndim == 2 or frame.shape[2] == 1:
        return frame.reshape(frame.shape[:2])
    first, second, third = cv2.split(frame)  # several times as fast as along the last axis
    return np.asarray(cv2.max(cv2.max(first, second, first), third, first), np.uint8)


def evidence_of(grey: Grey) -> Evidence:
    """Look at uint8 (H, W) in blocks."""
    scale = max(1, round(max(grey.shape) / LONGEST))
    height, width = grey.shape[0] // scale, grey.shape[1] // scale
    whole = grey[: height * scale, : width * scale]
    black = int(np.bincount(grey[::scale, ::scale].ravel(), minlength=256)[:48].argmax())
    usual = max(USUAL, black + USUAL - 1)
    square = np.ones((max(3, scale),) * 2, np.uint8)
    room = np.empty(whole.shape, np.uint8)  # one for all: fresh memory costs more than the work in it
    peak = np.array(cv2.dilate(whole, square, room)[scale // 2 :: scale, scale // 2 :: scale], np.uint8)
    least = np.array(cv2.erode(whole, square, room)[scale // 2 :: scale, scale // 2 :: scale], np.uint8)
    sure = _share(whole, usual, (width, height), room)
    level, lit = usual, sure
    halo = _around_text(peak, sure)
    for step in STEPS:
        if black + step >= usual:
            break
        few = _share(whole, black + step, (width, height), room)
        is_clean = (few[halo] > 0).sum() <= MOST_HALO * halo.sum()
        if (few == 0).mean() >= LEAST_EMPTY and is_clean:
            level, lit = black + step, few
            break
    steps = peak - least
    flat = ((steps <= FLAT) & (least > usual)).astype(np.uint8)
    return Evidence(scale, black, level, lit, sure, peak, steps, _painted(flat, max(3, round(PATCH / scale))))


def _around_text(peak: Grey, sure: Grey) -> npt.NDArray[np.bool_]:
    """Blocks beside something bright that stands alone."""
    bright = peak >= PAINT
    alone = bright & (cv2.blur(sure, (9, 9)) < 255 // 3)
    return np.asarray((grown(alone, 2) > 0) & (grown(bright, 1) == 0))


def _share(grey: Grey, level: int, size: tuple[int, int], room: Grey) -> Grey:
    lit = cv2.threshold(grey, level, 255, cv2.THRESH_BINARY, room)[1]
    while lit.shape[1] % (2 * size[0]) == 0 and lit.shape[0] % (2 * size[1]) == 0:  # halving is several times as fast
        lit = cv2.resize(lit, (lit.shape[1] // 2, lit.shape[0] // 2), interpolation=cv2.INTER_AREA)
    if lit.shape[1] == size[0]:
        return np.asarray(lit, np.uint8)
    return np.asarray(cv2.resize(lit, size, interpolation=cv2.INTER_AREA), np.uint8)


def _painted(flat: Grey, side: int) -> Grey:
    painted = np.asarray(cv2.morphologyEx(flat, cv2.MORPH_OPEN, np.ones((side, side), np.uint8)), np.uint8)
    quarters = np.stack([part.mean(axis=1) for part in np.array_split(painted, 4, axis=1)])
    painted[(quarters >= 0.2).sum(axis=0) >= 3] = 1  # a banner goes on behind the text on it
    return painted


def grown(mask: npt.NDArray[np.generic], by: int) -> Grey:
    """A mask, uint8 0/1, enlarged by so many elements to every side."""
    side = 2 * by + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8, copy=False), np.ones((side, side), np.uint8)), np.uint8)
