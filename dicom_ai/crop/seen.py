"""What each witness says of one data set, with its shape: for the person who must look, never for the decision.

The shapes are found as the crop finds them, and also where the crop would not look any further because one witness
had already failed. What this is not: a drawing (`picture`), or a second opinion; `examine` alone decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicom_ai.crop.catalogue import Layout, layout_of
from dicom_ai.crop.colour import Frame
from dicom_ai.crop.examine import LOOKED_AT
from dicom_ai.crop.frames import VIDEO, iter_frames
from dicom_ai.crop.region import FORMAT_2D, region_vote
from dicom_ai.crop.support import Support, picture_support
from dicom_ai.errors import UnsupportedPixels
from dicom_ai.instance import Instance
from dicom_ai.kept import Box, Mask, mask_of

_CORNERS = ("MinX0", "MinY0", "MaxX1", "MaxY1")
_FURTHEST = 1 << 15  # pixels; a stated corner beyond it is drawn there


@dataclass(frozen=True)
class Seen:
    """One screen and the shapes in question, full-frame pixels.

    Attributes:
        screen: uint8 (H, W, 3) RGB; of a clip the brightest value of each pixel.
        regions: half-open boxes of the regions that are believed.
        doubted: those that are stated but not believed.
        bound: the published entry for the device, an outer bound.
        approved: the entry that people approved, a witness.
        support: the picture found in the pixels.
    """

    screen: npt.NDArray[np.uint8]
    regions: tuple[Box, ...]
    doubted: tuple[Box, ...]
    bound: Layout | None
    approved: Layout | None
    support: Support | None

    def witnessed(self) -> Mask:
        """Pixels that at least two of region, picture and approved entry cover, inside the published bound: (H, W).

        One witness alone may be wrong: a region holds labels, a picture found in the pixels may hold the header.
        """
        rows, columns = self.screen.shape[:2]
        boxes = [((x0, y0), (x1, y0), (x1, y1), (x0, y1)) for x0, y0, x1, y1 in self.regions]
        votes = (boxes, self.support.polygons if self.support else (), self.approved.keep if self.approved else ())
        mask: Mask = np.sum([mask_of(shapes, rows, columns) for shapes in votes], axis=0) >= 2
        return mask if self.bound is None else mask & mask_of(self.bound.keep, rows, columns)

    def row(self) -> dict[str, Any]:
        """The shapes as small JSON."""
        picture = self.support.polygons if self.support else ()
        return {
            "regions": [list(box) for box in self.regions],
            "support": [[list(point) for point in polygon] for polygon in picture],
        }


def seen(ds: Dataset, instance: Instance, layouts: tuple[Layout, ...], heard: Callable[[], bool]) -> Seen:
    """Look at a data set.

    Args:
        ds: with PixelData (bytes or an open stream at its first byte) and file meta information.
        instance: the facts of `ds`.
        layouts: entries of the catalogue that people approved, the latest first.
        heard: whether a video decoder complained since it was last asked.

    Raises:
        InputError: the pixels cannot be decoded.
    """
    if not instance.rows or not instance.columns or "PixelData" not in ds:
        raise UnsupportedPixels("no pixels")
    vote, layout, bound = region_vote(ds), layout_of(ds, layouts), layout_of(ds, ())
    screen = _brightest(ds, instance.frames, heard)
    if screen.shape[:2] != (instance.rows, instance.columns):
        raise UnsupportedPixels("a frame of another size")
    return Seen(
        screen=screen if screen.shape[2] == 3 else cv2.cvtColor(screen, cv2.COLOR_GRAY2RGB).astype(np.uint8),
        regions=vote.boxes,
        doubted=tuple(box for box in _stated(ds) if box not in vote.boxes),
        bound=bound,
        approved=layout if layout is not None and layout.status == "approved" else None,
        support=picture_support(np.ascontiguousarray(screen.max(axis=2))),
    )


def _brightest(ds: Dataset, frames: int, heard: Callable[[], bool]) -> Frame:
    heard()  # what was said of the object before does not count
    numbers = sorted({round(at) for at in np.linspace(1, frames, LOOKED_AT)})
    brightest: Frame | None = None
    for frame in iter_frames(ds, numbers):
        brightest = frame.copy() if brightest is None else np.maximum(brightest, frame)
    if brightest is None or (ds.file_meta.TransferSyntaxUID in VIDEO and heard()):
        raise UnsupportedPixels("no frame, or the video decoder found damage")
    return brightest


def _stated(ds: Dataset) -> list[Box]:
    """Half-open boxes of every 2D item, believed or not."""
    boxes: list[Box] = []
    for item in ds.get("SequenceOfUltrasoundRegions") or []:
        try:
            if int(item.RegionSpatialFormat) == FORMAT_2D:
                x0, y0, x1, y1 = (min(int(item[f"RegionLocation{name}"].value), _FURTHEST) for name in _CORNERS)
                boxes.append((x0, y0, x1 + 1, y1 + 1))
        except (AttributeError, KeyError, TypeError, ValueError):
            continue  # an item without a number in every corner cannot be drawn
    return boxes
