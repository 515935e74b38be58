"""Does the map show what the network used? Blocks of the picture are removed, or given back, strongest first.

Deletion and insertion after Petsiuk et al., "RISE", BMVC 2018: the area under the class score while the blocks are
taken out of the picture in the map's order (small is good), and while they are put back into an empty one (large is
good). The yardstick is the same with the same blocks in random order. Pure: chance and the network are arguments.

What this is not: a statement that the network is right; a map can be faithful to a wrong answer.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

Score = Callable[[torch.Tensor], npt.NDArray[np.float64]]
"""Frames (N, channels, S, S) as the network sees them -> the class's score (N,), e.g. its probability."""
Order = npt.NDArray[np.int64]
"""Numbers of blocks, row * side + column, in the order in which they go."""
STEPS = 16
"""Parts of the order that go at once."""


class Areas(NamedTuple):
    """Mean score over the steps from the first block to the last, in units of the score."""

    deletion: float
    insertion: float


def order_of(cells: npt.NDArray[np.float32], where: npt.NDArray[np.bool_]) -> Order:
    """The blocks that hold some of the picture, strongest cell first; equal cells row by row.

    Args:
        cells: float (m, m), the map of one class.
        where: bool (S, S), pixels of the input that are picture and not fill.
    """
    side = len(cells)
    inside = np.unique(_block_of(len(where), side)[where])
    ranked = np.argsort(-cells.ravel()[inside], kind="stable")
    return inside[ranked]


def areas(score: Score, picture: torch.Tensor, empty: torch.Tensor, order: Order, side: int) -> Areas:
    """Deletion and insertion of one picture in one order.

    Args:
        score: of the class.
        picture: float (channels, S, S), as the network sees it.
        empty: like `picture`, what a block looks like that was taken out.
        order: of B blocks.
        side: blocks along each edge of the input.
    """
    gone_at = np.full(side * side, STEPS)
    gone_at[order] = np.arange(len(order)) * STEPS // len(order)
    turn = torch.from_numpy(gone_at[_block_of(picture.shape[-1], side)])
    is_gone = turn < torch.arange(STEPS + 1)[:, None, None, None]
    curves = [_area(score(torch.where(is_gone, one, other))) for one, other in ((empty, picture), (picture, empty))]
    return Areas(*curves)


def _block_of(size: int, side: int) -> npt.NDArray[np.int64]:
    """Number of the block each pixel lies in, int (S, S)."""
    line = np.arange(size) * side // size
    return np.asarray(line[:, None] * side + line[None, :], np.int64)


def _area(scores: npt.NDArray[np.float64]) -> float:
    return float(np.trapezoid(scores) / STEPS)
