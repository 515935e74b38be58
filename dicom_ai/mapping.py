"""Where a crop lies in its full frame: points, boxes, outlines, masks and pictures there and back, in one place.

Pixel (r, c) is the square [c, c+1] x [r, r+1] in both, as image-relative coordinates of a Structured Report have it
(PS3.3 C.18.6.1.1: the upper left corner of the upper left pixel is 0, 0), so the way is a translation by whole pixels
and nothing is resampled. The way on into a network's input is `models.preprocess.Letterbox`. What this is not: a
judgement about what is kept; that is the outcome's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Box, CropOutcome, Mask, mask_of

Point = tuple[float, float]


@dataclass(frozen=True)
class CropWindow:
    """The box of a crop, and the two ways through it.

    Attributes:
        box: x0, y0, x1, y1 in full-frame pixels, half open.

    Examples:
        >>> window = CropWindow((100, 50, 300, 250))
        >>> window.to_full([(0.0, 0.0), (2.5, 1.0)])
        [(100.0, 50.0), (102.5, 51.0)]
        >>> window.box_to_crop((90, 60, 120, 400))
        (0, 10, 20, 200)
    """

    box: Box

    @classmethod
    def of(cls, outcome: CropOutcome) -> Self:
        """The window of a cropped outcome.

        Raises:
            ValueError: nothing was kept.
        """
        if outcome.box is None:
            raise ValueError("only a cropped outcome has a place")
        return cls(outcome.box)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the crop."""
        x0, y0, x1, y1 = self.box
        return y1 - y0, x1 - x0

    def to_full(self, points: Iterable[Point]) -> list[Point]:
        """Points (x, y) of the crop in full-frame pixels."""
        x0, y0 = self.box[:2]
        return [(x + x0, y + y0) for x, y in points]

    def to_crop(self, points: Iterable[Point]) -> list[Point]:
        """Points (x, y) of the full frame in pixels of the crop; those outside lie outside of it as well."""
        x0, y0 = self.box[:2]
        return [(x - x0, y - y0) for x, y in points]

    def box_to_full(self, box: Box) -> Box:
        """A half-open box of the crop in full-frame pixels."""
        x0, y0 = self.box[:2]
        return box[0] + x0, box[1] + y0, box[2] + x0, box[3] + y0

    def box_to_crop(self, box: Box) -> Box | None:
        """The part of a half-open box of the full frame that lies in the crop, in its pixels; None when none does."""
        x0, y0, _, _ = self.box
        rows, columns = self.size
        left, top = max(0, box[0] - x0), max(0, box[1] - y0)
        right, bottom = min(columns, box[2] - x0), min(rows, box[3] - y0)
        return (left, top, right, bottom) if left < right and top < bottom else None

    def cut(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The crop's part of a full frame (rows, columns, ...): a view (h, w, ...)."""
        x0, y0, x1, y1 = self.box
        return plane[y0:y1, x0:x1]

    def placed(self, crop: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
        """A crop (h, w, ...) at its place in a full frame of zeros (rows, columns, ...).

        Raises:
            ValueError: the crop is not of the window's size, or the window not within the frame.
        """
        x0, y0, x1, y1 = self.box
        if crop.shape[:2] != self.size or not (0 <= x0 <= x1 <= columns and 0 <= y0 <= y1 <= rows):
            raise ValueError(f"a crop of {crop.shape[:2]} has no place at {self.box} of {rows} x {columns}")
        full = np.zeros((rows, columns, *crop.shape[2:]), crop.dtype)
        full[y0:y1, x0:x1] = crop
        return full

    def blank(self, plane: npt.NDArray[Any], boxes: Sequence[Box]) -> None:
        """Set boxes of the full frame to zero (False) in a crop (h, w, ...), in place; what lies outside is ignored."""
        for box in boxes:
            inside = self.box_to_crop(box)
            if inside is not None:
                left, top, right, bottom = inside
                plane[top:bottom, left:right] = 0


def kept_mask(outcome: CropOutcome, mask: Mask | None = None) -> Mask:
    """Which pixels of the crop are kept: inside `keep` and outside `blanked`; bool (h, w) on the grid of the crop.

    Args:
        outcome: cropped.
        mask: bool (rows, columns), `mask_of(outcome.keep)`, if it was made already.

    Raises:
        ValueError: nothing was kept.
    """
    window = CropWindow.of(outcome)
    mask = window.cut(mask_of(outcome.keep, outcome.rows, outcome.columns) if mask is None else mask).copy()
    window.blank(mask, outcome.blanked)
    return mask
