"""What stands still while the picture around it moves: the only writing that may be painted black.

Stillness is never a reason to keep a pixel; a frozen clip, or a probe in the air, is still all over, and then nothing
is known to be painted. What this is not: a search for text; it is asked about boxes that others found.
"""

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Box, Mask

Grey = npt.NDArray[np.uint8]

LEAST_FRAMES = 5
"""Frames that differ, from which on it can be said that something stands still."""

STEADY, MOVING = 14, 20
"""Grey levels between the darkest and the brightest value of a pixel over time: at most so much in writing (lossy
compression changes it a little), at least so much, in the median, around it."""

LEAST_STEADY = 0.92
"""Share of a text's stroke pixels that must be steady."""

_STROKE, _LEAST_STROKE = 15, 16  # grey levels above the surroundings; pixels
_DIFFERENT = 0.3  # mean grey levels by which a frame differs from the one before
_THIN = np.ones((9, 9), np.uint8)


class Still:
    """Darkest and brightest value of each pixel over the frames, uint8 (H, W)."""

    def __init__(self) -> None:
        self._darkest: Grey | None = None
        self._brightest: Grey | None = None
        self._before: Grey | None = None
        self._changes = 0

    def add(self, grey: Grey) -> None:
        """Take in one frame."""
        few = grey[::4, ::4]
        if self._darkest is None or self._brightest is None or self._before is None:
            self._darkest, self._brightest = grey.copy(), grey.copy()
        else:
            cv2.min(self._darkest, grey, self._darkest)
            cv2.max(self._brightest, grey, self._brightest)
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
        assert self._darkest is not None  # noqa: S101 - asked only after `boxes`
        x0, y0, x1, y1 = box
        return self._darkest[max(0, y0 - 8) : y1 + 8, max(0, x0 - 8) : x1 + 8]

    def boxes(self, hits: list[Box], inside: Grey) -> list[Box] | None:
        """Boxes that cover each hit whole, if every one of them is writing that stands still.

        Args:
            hits: boxes in pixels of the frames.
            inside: uint8 (H, W), above 0 where pixels are kept.

        Returns:
            Larger boxes, merged; None when any hit moves, comes and goes, or cannot be told from what is around it.
        """
        if not self.is_moving or self._darkest is None or self._brightest is None:
            return None
        change = cv2.subtract(self._brightest, self._darkest)
        bright = cv2.morphologyEx(self._darkest, cv2.MORPH_TOPHAT, _THIN) >= _STROKE
        dark = cv2.morphologyEx(self._brightest, cv2.MORPH_BLACKHAT, _THIN) >= _STROKE
        painted = (bright | dark) & (change <= STEADY) & (inside > 0)
        grown = [self._grown(box, painted) for box in hits]
        if not all(self._is_still(box, np.asarray(change, np.uint8), painted, inside) for box in grown):
            return None
        return grown

    def _grown(self, box: Box, painted: Mask) -> Box:
        """The box with a margin for soft edges, taking in the steady strokes that go on beside it."""
        rows, columns = painted.shape
        x0, y0, x1, y1 = box
        for _ in range(40):
            reach = 8 + (y1 - y0) // 2
            left, top, right, bottom = max(0, x0 - reach), max(0, y0 - 8), min(columns, x1 + reach), min(rows, y1 + 8)
            ys, xs = np.nonzero(painted[top:bottom, left:right])
            if not ys.size:
                break
            larger = (min(x0, left + int(xs.min())), min(y0, top + int(ys.min())),
                      max(x1, left + int(xs.max()) + 1), max(y1, top + int(ys.max()) + 1))  # fmt: skip
            if larger == (x0, y0, x1, y1):
                break
            x0, y0, x1, y1 = larger
        return max(0, x0 - 8), max(0, y0 - 8), min(columns, x1 + 8), min(rows, y1 + 8)

    def _is_still(self, box: Box, change: Grey, painted: Mask, inside: Grey) -> bool:
        x0, y0, x1, y1 = box
        at = np.s_[y0:y1, x0:x1]
        assert self._darkest is not None and self._brightest is not None  # noqa: S101, PT018 - `boxes` looked
        mean = cv2.addWeighted(self._darkest[at], 0.5, self._brightest[at], 0.5, 0)
        strokes = cv2.morphologyEx(mean, cv2.MORPH_TOPHAT, _THIN) >= _STROKE
        strokes = (strokes | painted[at]) & (inside[at] > 0)
        if painted[at].sum() < _LEAST_STROKE:
            return False
        around = np.s_[max(0, y0 - 16) : y1 + 16, max(0, x0 - 16) : x1 + 16]
        free = (cv2.dilate(painted[around].astype(np.uint8), np.ones((5, 5), np.uint8)) == 0) & (inside[around] > 0)
        is_moving = bool(free.any()) and float(np.median(change[around][free])) >= MOVING
        return is_moving and bool(painted[at].any())
