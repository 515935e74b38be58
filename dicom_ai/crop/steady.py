"""Frames of a clip to how far each of them shows the picture that was found over the whole clip.

One clip has one layout; a change of depth or layout in mid-clip would hide in the maximum over time. A frame is asked
only at the points where the clip's outline was seen, so that no frame costs a search of its own. What this is not: a
second witness; it can only refuse.
"""

import cv2
import numpy as np

from dicom_ai.crop.evidence import Grey, brightest_channel
from dicom_ai.crop.fit import NEAR, ends_of_light
from dicom_ai.crop.support import Support

REACH = 12
"""Pixels to either side of the outline in which a frame's light is looked for."""

AROUND = REACH + 4
"""Pixels around the outline of which a frame's light is made."""

LEAST_ASKED = 8
"""Points under which nothing is said of an edge."""


def steadiness(frame: Grey, support: Support) -> float:
    """How far one frame shows the clip's picture.

    Args:
        frame: uint8 (H, W) or (H, W, C), C 1 or 3.
        support: found on the maximum over time; its edges say where the light ends.

    Returns:
        0..1: of the points that see the light end over time, the share that sees it end within twice `fit.NEAR` in this
        frame, on the worst edge; 1 when no edge has enough points.
    """
    edges = [[point for point in edge if point.is_seen] for edge in support.edges]
    edges = [edge for edge in edges if len(edge) >= LEAST_ASKED]
    if not edges or support.light is None:
        return 1.0
    points = np.array([point for edge in edges for point in edge], np.float64)
    at, out = points[:, :2], points[:, 2:4]
    least, most = at.min(axis=0).astype(int) - AROUND, at.max(axis=0).astype(int) + AROUND
    x0, y0 = np.maximum(least, 0)
    part = brightest_channel(frame[y0 : most[1], x0 : most[0]])
    light = support.light.over(np.asarray(cv2.blur(part, (3, 3)), np.uint8))
    offset, seen = ends_of_light(light, at - (x0, y0), out, REACH)
    agreed = np.split(seen & (np.abs(offset) <= 2 * NEAR), np.cumsum([len(edge) for edge in edges])[:-1])
    return min(float(edge.mean()) for edge in agreed)
