import dataclasses

import numpy as np
import pytest

from dicom_ai.report.band import Block, _drawn, letter_size
from dicom_ai.report.code import CLASSES, STATES
from dicom_ai.report.legend import legend
from dicom_ai.report.overlay import full_frames, overlay
from dicom_ai.report.wording import _TEXTS
from tests.builders_report import kept, lung, sector, source, spot

SIZES = [(873, 1164), (802, 1054), (480, 640), (240, 320)]


def blocks(language="en", class_id="b_lines", assessable=True):
    content = lung([source(1)], language)
    probabilities = (0.02, 0.9312, 0.7145, 0.08)
    return legend(content.analysis, content.findings, probabilities, class_id=class_id, is_assessable=assessable)


def picture(rows, columns, language="en", heat=True, polygon=None):
    crop = kept(source(1, rows=rows, columns=columns), polygon or sector(rows, columns))
    hot = spot(crop, crop.frames.shape[2] / 2, crop.frames.shape[1] / 2, rows / 15) if heat else None
    words = blocks(language, "b_lines" if heat else None)
    return crop, hot, full_frames(crop, hot, words)[0]


def inside(crop):
    """Pixels of the full frame that were kept."""
    x0, y0, x1, y1 = crop.outcome.box
    mask = np.zeros((crop.outcome.rows, crop.outcome.columns), bool)
    mask[y0:y1, x0:x1] = crop.frames[0].any(axis=2)
    return mask


def test_no_heat_leaves_the_echo_as_it_is():
    frame = np.arange(60, dtype=np.uint8).reshape(5, 12, 1)
    shape = np.ones((5, 12), bool)
    expected = np.repeat(frame, 3, axis=2)
    assert (overlay(frame, None, shape) == expected).all()
    assert (overlay(frame, np.zeros((5, 12), np.uint8), shape) == expected).all()
    assert (overlay(expected, np.full((5, 12), 255, np.uint8), ~shape) == expected).all()
    assert (overlay(frame, np.full((5, 12), 255, np.uint8), shape) != expected).any()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_text_stays_off_the_scan_and_heat_stays_on_it(rows, columns, language):
    crop, hot, rgb = picture(rows, columns, language)
    _, _, plain = picture(rows, columns, language, heat=False)
    scan = inside(crop)
    without = np.zeros((rows, columns), np.uint8)
    x0, y0, x1, y1 = crop.outcome.box
    without[y0:y1, x0:x1] = crop.frames[0, ..., 0]
    assert (plain[scan] == without[scan][:, None]).all()  # no letter covers a kept pixel
    coloured = np.ptp(rgb.astype(int), axis=2) > 0
    changed = scan & (rgb != plain).any(axis=2)
    heated = np.zeros_like(scan)
    heated[y0:y1, x0:x1] = hot[0] > 0
    assert changed.any()
    assert not (changed & ~heated).any()
    assert coloured[~scan].any()  # the colour bar and the amber warning


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("rows", "columns"), SIZES[:3])
def test_the_warning_is_readable(rows, columns, language):
    _, _, rgb = picture(rows, columns, language)
    amber = (rgb[..., 0] > 120) & (rgb[..., 2] < 60) & (rgb[..., 1] > 60)
    amber &= np.abs(rgb[..., 1] / np.maximum(rgb[..., 0], 1) - 0.75) < 0.1
    ys, xs = np.nonzero(amber)
    bands = np.split(np.unique(ys), np.flatnonzero(np.diff(np.unique(ys)) > 1) + 1)
    heights = [len(band) for band in bands if len(band) > 3]
    assert max(heights) >= 14 * columns / 800 * 0.85
    assert xs.max() - xs.min() > 0.3 * columns


def test_letters_grow_with_the_picture():
    assert letter_size(800) == 18
    assert letter_size(1600) == 36
    assert letter_size(100) == 13


def test_without_room_nothing_is_drawn_on_the_scan():
    polygon = ((0.0, 0.0), (320.0, 0.0), (320.0, 240.0), (0.0, 240.0))
    crop, _, rgb = picture(240, 320, polygon=polygon, heat=False)
    assert (rgb == crop.frames[0]).all()


def test_everything_else_is_black():
    crop, _, _ = picture(480, 640)
    rgb = full_frames(crop, None, [])[0]
    assert not rgb[~inside(crop)].any()


def test_blanked_boxes_carry_no_heat():
    crop = kept(source(1), sector(480, 640))
    x0, y0 = crop.outcome.box[:2]
    box = (x0 + 100, y0 + 100, x0 + 200, y0 + 160)
    frames = crop.frames.copy()
    frames[:, 100:160, 100:200] = 0
    crop = dataclasses.replace(crop, frames=frames, outcome=dataclasses.replace(crop.outcome, blanked=(box,)))
    rgb = full_frames(crop, np.full(frames.shape[:3], 255, np.uint8), [])[0]
    assert not rgb[box[1] : box[3], box[0] : box[2]].any()
    assert rgb[box[3] + 5, box[0]].any()


def test_every_frame_of_a_clip_is_drawn_with_its_own_heat():
    crop = kept(source(1, frames=9), sector(480, 640), (1, 4, 7))
    heat = np.stack([spot(crop, x, 150, 20)[0] for x in (150, 200, 250)])
    frames = full_frames(crop, heat, blocks())
    assert frames.shape == (3, 480, 640, 3)
    plain = full_frames(crop, None, blocks())
    centres = [np.nonzero((a != b).any(axis=2))[1].mean() for a, b in zip(frames, plain, strict=True)]
    assert np.diff(centres) == pytest.approx([50, 50], abs=5)


def test_rgb_crops_keep_their_colours():
    crop = kept(source(1), sector(480, 640), channels=3)
    frames = crop.frames.copy()
    frames[..., 2] = 0
    rgb = full_frames(dataclasses.replace(crop, frames=frames), None, [])[0]
    x0, y0, x1, y1 = crop.outcome.box
    assert (rgb[y0:y1, x0:x1] == frames[0]).all()


def test_what_cannot_be_assessed_says_so_and_gives_no_number():
    words = " ".join(part for block in blocks(class_id=None, assessable=False) for part in block.parts)
    assert "Not assessable" in words
    assert "%" not in words


def test_the_words_hold_every_class_and_the_warning():
    words = " ".join(part for block in blocks() for part in block.parts)
    for said in ("AI HEATMAP - NOT VERIFIED - NOT FOR DIAGNOSIS", "DEMONSTRATION MODEL", "B-lines 93.1 %",
                 "study: present", "A-lines 2.0 %", "Pleural effusion 71.5 %", "Consolidation 8.0 %"):  # fmt: skip
        assert said in words


def test_chinese_letters_are_drawn_and_no_boxes():
    """Every letter of every Chinese text we can show: none is blank, none is the box of a missing letter."""
    texts = [chinese for _, chinese in _TEXTS.values()] + [one.name("zh") for one in CLASSES.values()]
    texts += [state.meaning("zh") for state in STATES.values()]
    letters = sorted({letter for text in texts for letter in text if ord(letter) > 0x2E80})
    assert len(letters) > 100
    drawn = {letter: _drawn(Block((letter,), (255, 255, 255)), 24, 1) for letter in letters}
    missing = _drawn(Block(("\U000e0fff",), (255, 255, 255)), 24, 1)  # a code point no font has
    pictures = {letter: picture.tobytes() for letter, picture in drawn.items()}
    assert all((picture > 128).sum() > 12 for picture in drawn.values())
    assert missing.tobytes() not in pictures.values()
    assert len(set(pictures.values())) == len(letters)  # all differ: no letter stands for another
