"""Measured cells to how much each looks like a piece of a letter: a very small network, learned from drawn letters.

Its weights come from `python -m train text`, which draws echoes of many kinds, writes on them, and marks them with what
is no text. What this is not: reading, or the decision what a hit means (that is `text`).
"""

from functools import lru_cache
from importlib.resources import files

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.strokes import Grey

Floats = npt.NDArray[np.float32]
_WEIGHTS = "glyphs.npz"
_LOG = np.log1p(np.arange(256, dtype=np.float32))


@lru_cache(maxsize=1)
def _weights() -> dict[str, Floats]:
    with files("dicom_ai.crop").joinpath(_WEIGHTS).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def lettering(planes: Grey, inside: npt.NDArray[np.bool_]) -> Floats:
    """Judge every cell.

    Args:
        planes: uint8 (h, w, PLANES), see `strokes.planes`.
        inside: bool (h, w), the cells to judge.

    Returns:
        float32 (h, w), logits; above 0 more like text than not; -20 where not judged.
    """
    rows, columns = inside.shape
    if not inside.any():
        return np.full((rows, columns), -20, np.float32)
    stored = _weights()
    first = np.zeros((rows, columns, stored["w0"].shape[1]), np.float32)
    measured = np.asarray(cv2.LUT(planes[inside], _LOG), np.float32)
    first[inside] = np.maximum(measured @ stored["w0"] + stored["b0"], 0)
    second = _spread(first, stored["w1"], stored["b1"])
    third = _spread(second, stored["w2"], stored["b2"])
    logits = (third @ stored["w3"] + stored["b3"])[:, :, 0]
    return np.where(inside, logits, np.float32(-20))


def _spread(cells: Floats, weights: Floats, bias: Floats) -> Floats:
    """3 x 3 convolution with zeros around and a rectifier: (h, w, K) with (9, K, L) to (h, w, L).

    Nine products of one matrix, shifted by whole cells: nothing has to be gathered.
    """
    rows, columns, depth = cells.shape
    framed = np.zeros((rows + 3, columns + 2, depth), np.float32)
    framed[1:-2, 1:-1] = cells
    flat, count = framed.reshape(-1, depth), rows * (columns + 2)
    out = np.empty((count, weights.shape[2]), np.float32)
    out[:] = bias
    step = np.empty_like(out)
    for tap in range(9):
        start = (tap // 3) * (columns + 2) + tap % 3
        out += np.matmul(flat[start : start + count], weights[tap], out=step)
    np.maximum(out, 0, out=out)
    return out.reshape(rows, columns + 2, -1)[:, :columns]
