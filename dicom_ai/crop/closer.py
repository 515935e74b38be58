"""A closer look at the few places where the first one (`glyphs`) is unsure: a network that sees the pixels themselves.

The first look measures every cell in a millisecond or two and misses next to nothing when its threshold is low, but
then it also points at a few places of every clean picture. Only those are looked at here. The weights come from
`python -m train.closer`. What this is not: the decision what a hit means (that is `text`).
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.onnx_runtime import network
from dicom_ai.crop.strokes import CELL, Grey

Floats = npt.NDArray[np.float32]
Blocks = list[tuple[int, int]]
"""Row and column of blocks of cells."""

BLOCK = 4
"""Cells of a block's side: what one look judges."""

MARGIN = 16
"""Pixels around a block that are seen as well."""

PATCH = BLOCK * CELL + 2 * MARGIN
"""Pixels of a patch's side."""


def blocks_above(logits: Floats, least: float) -> Blocks:
    """Blocks that hold a cell above `least`, the clearest first.

    Args:
        logits: float32 (h, w) of cells; see `glyphs.lettering`.
        least: logit.
    """
    best = best_of(logits)
    order = np.argsort(-best, axis=None, kind="stable")[: int((best > least).sum())]
    return [(int(at) // best.shape[1], int(at) % best.shape[1]) for at in order]


def best_of(logits: Floats) -> Floats:
    """The greatest logit of each block, float32 (ceil(h / BLOCK), ceil(w / BLOCK))."""
    rows, columns = logits.shape
    framed = np.pad(logits, ((0, -rows % BLOCK), (0, -columns % BLOCK)), constant_values=-20)
    blocks = framed.reshape(framed.shape[0] // BLOCK, BLOCK, framed.shape[1] // BLOCK, BLOCK)
    return np.asarray(blocks.max(axis=(1, 3)), np.float32)


def patches(grey: Grey, blocks: Blocks) -> Grey:
    """What is seen of each block: uint8 (N, PATCH, PATCH); over the rim the picture is mirrored.

    Args:
        grey: uint8 (H, W), H and W multiples of CELL.
        blocks: within it.
    """
    if not blocks:
        return np.empty((0, PATCH, PATCH), np.uint8)
    side = BLOCK * CELL
    over = -grey.shape[0] % side + MARGIN, -grey.shape[1] % side + MARGIN
    framed = cv2.copyMakeBorder(grey, MARGIN, over[0], MARGIN, over[1], cv2.BORDER_REFLECT)
    return np.stack([framed[y * side : y * side + PATCH, x * side : x * side + PATCH] for y, x in blocks])


def closer(grey: Grey, blocks: Blocks) -> Floats:
    """Judge blocks.

    Args:
        grey: uint8 (H, W), H and W multiples of CELL.
        blocks: of it.

    Returns:
        float32 (H / CELL, W / CELL), logits of the cells; above 0 more like text than not; -20 where not judged.
    """
    rows, columns = grey.shape[0] // CELL, grey.shape[1] // CELL
    out = np.full((rows + BLOCK, columns + BLOCK), -20, np.float32)
    if blocks:
        judged = _network().run(None, {"patches": patches(grey, blocks)})[0]
        for (y, x), cells in zip(blocks, judged, strict=True):
            out[y * BLOCK : (y + 1) * BLOCK, x * BLOCK : (x + 1) * BLOCK] = cells
    return out[:rows, :columns]


@lru_cache(maxsize=1)
def _network() -> Any:
    return network("closer.onnx")
