"""What stands still while the picture around it moves: the only writing that may be painted black.

Stillness is never a reason to keep a pixel; a frozen clip, or a probe in the air, is still all over, and then nothing
is known to be painted. What this is not: a search for text; it is asked about boxes that others found.
"""

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Box

Grey = npt.NDArray[np.uint8]

LEAST_FRAMES = 5
"""Frames that differ, from which on it can be said that something stands still."""

LEAST_CHANGED, CHANGED = 0.7, 2
"""Share of the pixels around writing that must change over time by so many grey levels; dark tissue changes by few."""

CALMER, CALMEST = 0.8, (0.2, 0.35)
"""Pixels that are part of a stroke on every frame change over time, in writing, by at most this share of what such
pixels around it change by, which are echoes; compared at these quantiles, since echoes lie between the letters too.
Measured on simulated clips: writing 0.1 to 0.8, no writing and writing on one frame 0.95 to 1.4."""

LEAST_STROKES = 40
"""Pixels, in and around writing."""

_STROKE = 12  # grey levels above the surroundings
_DIFFERENT = 0.3  # mean grey levels by which a frame differs from the one before
_THIN = np.ones((9, 9), np.uint8)
_STROKES = cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT
_RING = 24


class Still:
    """Over the frames, for each pixel: the darkest and brightest value, and the least by which it was part of a thin
    bright and of a thin dark stroke; uint8 (H, W).
    """

    def __init__(self) -> None:
        self._darkest: Grey | None = None
        self._brightest: Grey | None = None
        self._before: Grey | None = None
        self._bright: Grey | None = None
        self._dark: Grey | None = None
        self._changes = 0

    def add(self, grey: Grey) -> None:
        """Take in one frame."""
        few = grey[::4, ::4]
        bright, dark = (np.asarray(cv2.morphologyEx(grey, way, _THIN), np.uint8) for way in _STROKES)
        if self._darkest is None or self._brightest is None or self._bright is None or self._dark is None:
            self._darkest, self._brightest, self._bright, self._dark = grey.copy(), grey.copy(), bright, dark
        else:
            cv2.min(self._darkest, grey, self._darkest)
            cv2.max(self._brightest, grey, self._brightest)
            cv2.min(self._bright, bright, self._bright)
            cv2.min(self._dark, dark, self._dark)
            assert self._before is not None  # noqa: S101 - set together
            self._changes += float(cv2.norm(few, self._before, cv2.NORM_L1)) > _DIFFERENT * few.size
        self._before = few.copy()

    @property
    def is_moving(self) -> bool:
        """Whether enough frames differed to tell what stands still."""
        return self._changes + 1 >= LEAST_FRAMES

    def pictures(self) -> tuple[Grey, ...]:
        """The clip's darkest values: echoes that move leave little in it, and bright writing all; for a still none."""
        return (self._darkest,) if self.is_moving and self._darkest is not None else ()

    def patch(self, box: Box) -> Grey:
        """The darkest values in and around a box."""
        assert self._darkest is not None  # noqa: S101 - asked only after `is_still`
        x0, y0, x1, y1 = box
        return self._darkest[max(0, y0 - 8) : y1 + 8, max(0, x0 - 8) : x1 + 8]

    def is_still(self, box: Box, inside: Grey) -> bool:
        """Whether what is written in a box stands still while the picture around it moves.

        Args:
            box: in pixels of the frames, on whole cells of 8 x 8.
            inside: uint8 (H, W), above 0 where pixels are kept; H and W multiples of 8.

        Returns:
            False also for writing that comes and goes, or cannot be told from what is around it.
        """
        if not self.is_moving or self._bright is None or self._dark is None:
            return False
        change = np.asarray(cv2.subtract(self._brightest, self._darkest), np.uint8)  # type: ignore[arg-type]
        ring = np.s_[max(0, box[1] - _RING) : box[3] + _RING, max(0, box[0] - _RING) : box[2] + _RING]
        around = change[ring][inside[ring] > 0]
        if not around.size or float((around >= CHANGED).mean()) < LEAST_CHANGED:
            return False
        within = np.zeros(change[ring].shape, np.bool_)
        within[box[1] - ring[0].start :, box[0] - ring[1].start :][: box[3] - box[1], : box[2] - box[0]] = True
        kept = inside[ring] > 0
        kinds = ((least[ring] >= _STROKE) & kept for least in (self._bright, self._dark))
        return any(_is_calmer(change[ring][kind & within], change[ring][kind & ~within]) for kind in kinds)


def _is_calmer(writing: Grey, echoes: Grey) -> bool:
    if min(writing.size, echoes.size) < LEAST_STROKES:
        return False
    own, other = np.quantile(writing, CALMEST), np.quantile(echoes, CALMEST)
    return float(own.sum()) <= CALMER * float(other.sum())
