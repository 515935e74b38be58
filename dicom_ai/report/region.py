"""Heat of one frame becomes closed outlines in full-frame pixels, the machine-readable form of a finding's place.

What this is not: a segmentation; an outline says where the evidence of the model is strongest.
"""

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Box, Polygon
from dicom_ai.mapping import CropWindow

MAX_POINTS = 200
MAX_REGIONS = 3


def contours(heat: npt.NDArray[np.uint8], box: Box, *, level: float = 0.5) -> tuple[Polygon, ...]:
    """Outline what is at least `level` of the frame's own peak, the part with the peak first.

    Args:
        heat: uint8 (h, w), heat of one class on the cropped frame.
        box: where the crop lies in the full frame; (h, w) is its size.
        level: share of the peak, 0..1.

    Returns:
        At most `MAX_REGIONS` closed polygons (last vertex equals the first) of at most `MAX_POINTS` vertices, each
        within `box`; none when there is no heat. Parts of less than a hundredth of the first one are left out.
    """
    window = CropWindow(box)
    if heat.shape != window.size:
        raise ValueError(f"heat is {heat.shape}, the box is {window.size}")
    peak = int(heat.max(initial=0))
    if peak == 0:
        return ()
    mask = (heat >= max(1.0, level * peak)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    peaks = np.zeros(count, np.int64)
    np.maximum.at(peaks, np.asarray(labels, np.int64).ravel(), np.where(mask, heat, 0).ravel())
    # Among parts of the same strength the largest: a flat top must not be spoken for by a speck.
    first = max(range(1, count), key=lambda part: (int(peaks[part]), int(areas[part]), -part))
    # Strongest first: a large faint part must not push out a small sharp one.
    others = sorted(
        (part for part in range(1, count) if part != first and areas[part] * 100 >= areas[first]),
        key=lambda part: (-int(peaks[part]), -int(areas[part]), part),
    )
    return tuple(tuple(window.to_full(_outline(labels == part))) for part in [first, *others][:MAX_REGIONS])


def _outline(part: npt.NDArray[np.bool_]) -> Polygon:
    """Closed, in pixels of the crop."""
    # Twice the size and a margin of one: the outline then runs along the edges of the outermost pixels, and a part
    # of a single pixel still encloses an area.
    doubled = np.repeat(np.repeat(part.astype(np.uint8), 2, axis=0), 2, axis=1)
    found, _ = cv2.findContours(np.pad(doubled, 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(found, key=len)
    tolerance = 1.0
    points = cv2.approxPolyDP(outline, tolerance, closed=True)[:, 0, :]
    while len(points) > MAX_POINTS - 1:
        tolerance *= 1.5
        points = cv2.approxPolyDP(outline, tolerance, closed=True)[:, 0, :]
    if len(points) < 3:
        x, y, w, h = cv2.boundingRect(outline)
        points = np.array([(x, y), (x + w - 1, y), (x + w - 1, y + h - 1), (x, y + h - 1)])
    # Index i of the doubled, padded grid has its centre at (i - 0.5) / 2 pixels.
    closed = [((float(x) - 0.5) / 2, (float(y) - 0.5) / 2) for x, y in points]
    return (*closed, closed[0])
