"""Masks to polygons in full-frame pixels, and boxes; the way back, `mask_of`, is in `dicom_ai.kept`."""

import cv2
import numpy as np

from dicom_ai.kept import Box, Mask, Polygon


def box_of(mask: Mask) -> Box | None:
    """The tight half-open box x0, y0, x1, y1 around the true pixels of bool (H, W); None when there are none."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return (int(x), int(y), int(x + width), int(y + height)) if width else None


def polygons_of(mask: Mask, corner: tuple[int, int] = (0, 0)) -> tuple[Polygon, ...]:
    """Outlines of a mask, one polygon per connected part, left to right; holes are filled.

    The outline runs through the centres of the outermost pixels and bends by at most half a pixel, so `mask_of` it
    never reaches a whole pixel beyond the mask.

    Args:
        mask: bool (H, W), a frame or a part of one.
        corner: x and y in the frame of the part's upper left pixel.
    """
    outlines, _ = cv2.findContours(np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    move = np.array(corner) + 0.5
    simple = ((cv2.approxPolyDP(outline, 0.5, closed=True)[:, 0, :] + move).tolist() for outline in outlines)
    return tuple(sorted(tuple((x, y) for x, y in points) for points in simple if len(points) > 2))


def rectangle(box: Box) -> Polygon:
    """The four corners of a half-open box, clockwise from the upper left."""
    x0, y0, x1, y1 = (float(value) for value in box)
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)
