"""Preprocessing follows the card, and the letterbox can be undone exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.card import Input
from models.preprocess import Letterbox, letterboxed, network_input, normalised, to_grey

LENGTH = st.integers(1, 1500)
CARD = Input(size=64, channels=1, mean=(0.5,), std=(0.25,))


@given(LENGTH, LENGTH, st.integers(32, 512), st.floats(0, 1), st.floats(0, 1))
def test_points_return_to_where_they_were(height: int, width: int, size: int, u: float, v: float) -> None:
    box = Letterbox.fit(height, width, size)
    there = box.to_input([(u * width, v * height)])
    assert box.to_picture(there)[0] == pytest.approx((u * width, v * height), abs=1e-6)
    assert 0 <= there[0][0] <= size
    assert 0 <= there[0][1] <= size


@given(LENGTH, LENGTH, st.integers(32, 512))
def test_the_picture_fills_one_direction_and_is_centred_in_the_other(height: int, width: int, size: int) -> None:
    box = Letterbox.fit(height, width, size)
    assert max(box.inner_height, box.inner_width) == size
    for inner, start in ((box.inner_height, box.top), (box.inner_width, box.left)):
        assert inner >= 1
        assert 0 <= size - inner - 2 * start <= 1


@given(st.integers(20, 300), st.integers(20, 300), st.sampled_from([8, 12, 24]), st.data())
def test_a_map_cell_comes_back_to_its_square_of_the_picture(
    height: int, width: int, m: int, data: st.DataObject
) -> None:
    box = Letterbox.fit(height, width, 192)
    row, column = data.draw(st.integers(1, m - 2)), data.draw(st.integers(1, m - 2))
    cells = np.zeros((m, m), np.float32)
    cells[row, column] = 1
    (x, y), step = box.to_picture([((column + 0.5) * 192 / m, (row + 0.5) * 192 / m)])[0], 192 / m
    back = box.map_to_picture(cells)
    assert back.shape == (height, width)
    if 1 <= x < width - 1 and 1 <= y < height - 1:
        r, c = np.unravel_index(int(back.argmax()), back.shape)
        sx, sy = box.scale
        assert abs(c + 0.5 - x) <= 0.51 + 1 / sx
        assert abs(r + 0.5 - y) <= 0.51 + 1 / sy
        far = np.add.outer(
            np.abs(np.arange(height) + 0.5 - y) * sy > step, np.abs(np.arange(width) + 0.5 - x) * sx > step
        )
        assert back[far].max(initial=0.0) < 0.05


def test_a_linear_map_is_sampled_at_pixel_centres() -> None:
    cells = np.tile(np.arange(8, dtype=np.float32), (8, 1))
    back = Letterbox.fit(64, 64, 64).map_to_picture(cells)
    assert back[32, 4:60] == pytest.approx((np.arange(4, 60) + 0.5) / 8 - 0.5, abs=0.02)


def test_the_fill_surrounds_the_picture() -> None:
    square = letterboxed(np.full((1, 20, 40, 1), 200, np.uint8), CARD, fill=9)[0]
    assert (square[:16] == 9).all()
    assert (square[16:48] == 200).all()
    assert (square[48:] == 9).all()


def test_values_become_the_cards_mean_and_deviation() -> None:
    shown = network_input(np.full((2, 64, 64, 1), 255, np.uint8), CARD)
    assert shown.shape == (2, 1, 64, 64)
    assert shown.dtype == torch.float32
    assert torch.allclose(shown, torch.tensor((1 - 0.5) / 0.25))


def test_the_grey_table_is_applied_before_scaling() -> None:
    card = CARD.model_copy(update={"grey_table": tuple(255 - i for i in range(256))})
    assert (letterboxed(np.full((1, 64, 64, 1), 55, np.uint8), card, 0) == 200).all()


def test_a_grey_picture_looks_the_same_in_rgb() -> None:
    grey = np.random.default_rng(2).integers(0, 256, (2, 30, 50, 1), np.uint8)
    assert np.array_equal(to_grey(np.repeat(grey, 3, axis=-1)), to_grey(grey))


def test_three_channels_repeat_the_grey_picture() -> None:
    card = Input(size=64, channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    shown = normalised(np.full((1, 64, 64), 51, np.uint8), card)
    assert shown[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.0, -0.2])


@pytest.mark.parametrize(
    "frames",
    [np.zeros((4, 4, 1), np.uint8), np.zeros((1, 4, 4, 2), np.uint8), np.zeros((1, 4, 4, 1), np.uint16)],
    ids=["no frame axis", "two channels", "16 bit"],
)
def test_what_is_not_kept_pixels_is_refused(frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frames must be"):
        network_input(frames, CARD)


def test_an_empty_picture_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="cannot fit"):
        Letterbox.fit(0, 5, 64)
