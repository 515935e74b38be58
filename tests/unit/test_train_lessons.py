"""What is learned from: usable frames, batches that repeat, the grey table and size that will serve."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from models.preprocess import letterboxed
from tests.collected import clip, data_set, store
from train.augment import Shown, mixed
from train.lessons import Batches, Shows, collected_lesson, parts_of
from train.recipe import read_recipe
from train.split import divided

EFFUSION = {"pleural_effusion": 1.0}


def squares(count: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, size, size), dtype=np.uint8)


def made(tmp_path: Path, *labels: dict[str, float], single: bool = True):
    clips = [clip(n, f"p{n}", first=2 * n, frames=2, labels=one, single_sign=single) for n, one in enumerate(labels)]
    return store(replace(data_set(tmp_path, []), clips=tuple(clips)), squares(2 * len(clips)))


def test_a_softmax_head_takes_clips_of_one_sign_and_counts_the_rest(tmp_path: Path) -> None:
    both = {"a_lines": 1.0, "b_lines": 1.0, "pleural_effusion": 0.0, "consolidation": 0.0}
    one = made(tmp_path, EFFUSION, both, dict.fromkeys(both, 0.0))
    lesson = collected_lesson(one, np.arange(6), "softmax")
    assert lesson.clip.tolist() == [one.clips[0].id] * 2
    assert (lesson.left_out, lesson.frame.tolist()) == (4, [1, 2])
    assert lesson.labels.tolist() == [[0, 0, 1, 0]] * 2
    assert len(collected_lesson(made(tmp_path / "b", EFFUSION, single=False), np.arange(2), "softmax")) == 0


def test_a_sigmoid_head_takes_what_is_known_of_anything(tmp_path: Path) -> None:
    lesson = collected_lesson(made(tmp_path, EFFUSION, {}), np.arange(4), "sigmoid", most=1)
    assert (lesson.left_out, len(lesson)) == (2, 1)
    assert np.isnan(lesson.labels[0]).tolist() == [True, True, False, True]


def test_a_part_without_a_usable_frame_is_refused(tmp_path: Path) -> None:
    one = made(tmp_path, *({} for _ in range(6)))
    with pytest.raises(ValueError, match="no frame"):
        parts_of(one, divided(one, "kfold:3", 0), 0, "sigmoid")


def test_frames_are_shown_through_the_code_that_serves(tmp_path: Path) -> None:
    one = made(tmp_path, EFFUSION)
    table = (0, *range(255, 0, -1))
    recipe = read_recipe("smoke")
    recipe = recipe.model_copy(update={"input": recipe.input.model_copy(update={"size": 48, "grey_table": table})})
    shown = Shows(collected_lesson(one, np.arange(2), "sigmoid"), recipe)[1]
    assert np.array_equal(shown.picture, letterboxed(one.frames[1:2, :, :, None], recipe.input, 0)[0])
    assert shown.clip == 0


def test_an_epoch_repeats_and_another_one_differs() -> None:
    numbers = np.repeat(np.arange(9), 5)
    first, again, other = (list(Batches(numbers, 6, clip_frames=3, key=key)) for key in ((1, 4), (1, 4), (1, 5)))
    assert first == again != other
    assert all(len(set(numbers[batch].tolist())) == 2 for batch in first)  # three frames of each of two clips
    flat = [index for batch in first for index in batch]
    assert len(flat) == len(set(flat)) == 24  # the last batch is not full


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_every_batch_between_them(world: int) -> None:
    numbers, key = np.arange(50), (0, 0)
    whole = list(Batches(numbers, 6, clip_frames=0, key=key))
    shares = [list(Batches(numbers, 6, clip_frames=0, key=key, place=(rank, world))) for rank in range(world)]
    assert [[*chain(*parts)] for parts in zip(*shares, strict=True)] == whole
    assert len(list(Batches(numbers[:4], 6, clip_frames=0, key=key))) == 1


def test_mixed_labels_are_unknown_where_either_is() -> None:
    black = np.zeros((4, 4), np.uint8)
    one = Shown(black, black, np.array([1, np.nan, 0], np.float32), judge=True, good=1.0)
    other = Shown(black + 100, black, np.array([0, 1, 0], np.float32), judge=True, good=1.0)
    shown = mixed(one, other, 0.25)
    assert (shown.picture == 75).all()
    assert np.array_equal(shown.labels, np.array([0.25, np.nan, 0], np.float32), equal_nan=True)
