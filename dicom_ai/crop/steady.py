"""Frames of a clip to how far each of them shows the picture that was found over the whole clip.

One clip has one layout; a change of depth or layout in mid-clip would hide in the maximum over time. A frame is asked
only at the points where the clip's outline was seen, so that no frame costs a search of its own. What this is not: a
second witness; it can only refuse.
"""

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.fit import NEAR, Asked, Light, ends_of_light
from dicom_ai.crop.support import Support

REACH = 12
"""Pixels to either side of the outline in which a frame's light is looked for."""

LEAST_ASKED = 8
"""Points under which nothing is said of an edge."""


def steadiness(grey: npt.NDArray[np.uint8], support: Support) -> float:
    """How far one frame shows the clip's picture.

    Args:
        grey: uint8 (H, W), the brightest channel of the frame.
        support: found on the maximum over time; its edges say where the light ends.

    Returns:
        0..1: of the points that see the light end over time, the share that sees it end within twice `fit.NEAR` in this
        frame, on the worst edge; 1 when no edge has enough points.
    """
    edges = [[point for point in edge if point.is_seen] for edge in support.edges]
    edges = [edge for edge in edges if len(edge) >= LEAST_ASKED]
    if not edges or support.light is None:
        return 1.0
    light = support.light.over(np.asarray(cv2.blur(grey, (3, 3)), np.uint8))
    return min(_share(edge, light) for edge in edges)


def _share(edge: list[Asked], light: Light) -> float:
    at = np.array([(point.x, point.y) for point in edge])
    out = np.array([(point.out_x, point.out_y) for point in edge])
    offset, seen = ends_of_light(light, at, out, REACH)
    return float((seen & (np.abs(offset) <= 2 * NEAR)).mean())
