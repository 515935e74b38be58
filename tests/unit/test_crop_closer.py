"""The closer look: which blocks it is asked about, what it sees of them, and that it tells letters from echoes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.crop.closer import BLOCK, MARGIN, PATCH, best_of, blocks_above, closer, patches
from dicom_ai.crop.strokes import CELL
from dicom_ai.simulate import phantom
from dicom_ai.simulate.lettering import Face, letters

SIDE = BLOCK * CELL


def logits_of(rows, columns, marks):
    out = np.full((rows, columns), -5, np.float32)
    for at, value in marks.items():
        out[at] = value
    return out


def test_blocks_come_clearest_first_and_only_those_above():
    logits = logits_of(9, 10, {(0, 0): 1.0, (8, 9): 3.0, (4, 4): -0.5, (5, 5): -2.0})
    assert blocks_above(logits, -1.0) == [(2, 2), (0, 0), (1, 1)]
    assert blocks_above(logits, 5.0) == []
    assert best_of(logits).shape == (3, 3)


@pytest.mark.hypothesis
@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 1 << 30))
def test_a_patch_is_its_block_with_what_is_around(rows, columns, seed):
    grey = np.random.default_rng(seed).integers(0, 255, (rows * CELL, columns * CELL)).astype(np.uint8)
    blocks = blocks_above(np.zeros((rows, columns), np.float32), -1.0)
    assert len(blocks) == -(-rows // BLOCK) * -(-columns // BLOCK)
    for (y, x), patch in zip(blocks, patches(grey, blocks), strict=True):
        assert patch.shape == (PATCH, PATCH)
        own = grey[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]
        assert np.array_equal(patch[MARGIN : MARGIN + own.shape[0], MARGIN : MARGIN + own.shape[1]], own)


def test_only_what_was_asked_is_judged():
    grey = np.full((12 * CELL, 12 * CELL), 90, np.uint8)
    judged = closer(grey, [(1, 2)])
    assert judged.shape == (12, 12)
    assert (judged[4:8, 8:12] > -20).all()
    judged[4:8, 8:12] = -20
    assert (judged == -20).all()
    assert (closer(grey, []) == -20).all()


def written_on(grey, text, at, by):
    out = grey.astype(np.int16)
    for letter in letters(text, Face("sans", 400, True), 12):
        (x, y), (h, w) = letter.at, letter.coverage.shape
        part = out[at[1] + y : at[1] + y + h, at[0] + x : at[0] + x + w]
        part += (letter.coverage.astype(np.float32) / 255 * (by + part.mean() - part)).astype(np.int16)
    return np.clip(out, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_letters_that_hardly_stand_out_of_speckle_are_told_from_it(seed):
    grey = phantom.wrong_organ(seed, size=(480, 640)).frames[0]
    grey = np.ascontiguousarray(grey[224:288, 288:416])  # tissue, far from the sector's edges
    clean, shown = (
        closer(one, [(0, 1), (1, 1), (0, 2), (1, 2)]) for one in (grey, written_on(grey, "9425", (48, 26), 40))
    )
    assert shown.max() > 1.0
    assert shown.max() > clean.max() + 2.0
