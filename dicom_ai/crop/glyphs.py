"""Measured cells to how much each looks like a piece of a letter: a very small network, learned from drawn letters.

Its weights come from `python -m train.letters`, which draws echoes of many kinds, writes on them, and marks them with
what is no text. What this is not: reading, or the decision what a hit means (that is `text`).
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.onnx_runtime import network
from dicom_ai.crop.strokes import Grey

Floats = npt.NDArray[np.float32]

_LOGS = np.log1p(np.arange(256)).astype(np.float32)
"""What the network is told of each number; looked up, as a logarithm costs more than the network's first layer."""


def lettering(planes: Grey, inside: npt.NDArray[np.bool_]) -> Floats:
    """Judge every cell.

    Args:
        planes: uint8 (h, w, PLANES), see `strokes.planes`.
        inside: bool (h, w), the cells to judge.

    Returns:
        float32 (h, w), logits; above 0 more like text than not; -20 where not judged.
    """
    if not inside.any():
        return np.full(inside.shape, -20, np.float32)
    logs = cv2.LUT(planes.reshape(len(planes), -1), _LOGS).reshape(planes.shape)
    judged = _network().run(None, {"logs": logs[None], "inside": inside[None]})[0][0]
    return np.where(inside, judged, np.float32(-20))


@lru_cache(maxsize=1)
def _network() -> Any:
    return network("glyphs.onnx")
