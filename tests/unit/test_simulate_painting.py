"""Painted texts: every changed pixel belongs to a glyph, places are where they say, legibility follows its rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_ai.simulate.inscriptions import inscription
from dicom_ai.simulate.lettering import Face, foreign_families, is_han, letters
from dicom_ai.simulate.painting import Look, paint, random_look
from dicom_ai.simulate.places import OUTSIDE, PLACES, Ground

ROWS, COLUMNS = 400, 520
YS, XS = np.mgrid[:ROWS, :COLUMNS]
RADIUS, ANGLE = np.hypot(XS - 260, YS - 20), np.arctan2(XS - 260, YS - 20)
SECTOR = (RADIUS > 60) & (RADIUS < 310) & (np.abs(ANGLE) < 0.6)
GROUND = Ground(SECTOR, (20, 50, 500, 380))


def clip(frames, *, rgb=False, seed=1):
    tissue = np.random.default_rng(seed).integers(30, 90, (frames, ROWS, COLUMNS)).astype(np.uint8)
    grey = np.where(SECTOR, tissue, 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3) if rgb else grey


def painted(place, seed, *, frames=3, rgb=False):
    rng = np.random.default_rng(seed)
    chinese = bool(seed % 2)
    said = inscription(rng, chinese=chinese, short=True)
    look = random_look(rng, chinese=chinese, heights=(8, 14))
    return paint(clip(frames, rgb=rgb), said.text, place, GROUND, look, rng)


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), rgb=st.booleans())
def test_every_changed_pixel_belongs_to_a_glyph_or_its_backing(place, seed, rgb):
    made = painted(place, seed, rgb=rgb)
    if made is None:
        return
    changed = made.frames != clip(3, rgb=rgb)
    changed = changed.any(axis=3) if rgb else changed
    for frame in range(3):
        glyphs = np.zeros((ROWS, COLUMNS), bool)
        for glyph in made.glyphs:
            glyphs |= glyph.mask(frame, (ROWS, COLUMNS))
        if made.look.backing == "none":
            assert not (changed[frame] & ~glyphs).any()
        if frame not in made.glyphs[0].corners:
            assert not changed[frame].any()
        if place in OUTSIDE:
            assert not (glyphs & SECTOR).any()
        else:
            assert not (glyphs & ~SECTOR).any()


@pytest.mark.parametrize("place", PLACES)
def test_every_place_finds_room(place):
    found = [painted(place, seed) for seed in range(20)]
    assert sum(one is not None for one in found) >= 15
    stood = {len(one.glyphs[0].corners) for one in found if one}
    assert stood == ({1} if place == "one frame" else {3})
    moved = {len(set(one.glyphs[0].corners.values())) > 1 for one in found if one}
    assert moved == {place == "moving"}


def test_edge_touches_the_sector():
    reach = np.zeros_like(SECTOR)
    for y in (-1, 0, 1):
        for x in (-1, 0, 1):
            reach |= np.roll(SECTOR, (y, x), axis=(0, 1))
    for seed in range(30):
        made = painted("edge", seed)
        if made is not None:
            assert any((glyph.mask(0, SECTOR.shape) & reach).any() for glyph in made.glyphs)


def test_legible_follows_the_stated_rule():
    rng = np.random.default_rng(5)
    for height, contrast, legible in ((20, 80, True), (8, 80, False), (20, 26, True), (20, 5, False)):
        made = paint(clip(1), "H1H", "inside", GROUND, Look(Face("sans", 700), height, contrast=contrast), rng)
        assert made.is_legible == legible
        assert abs(made.glyphs[0].contrast - contrast) < 0.35 * contrast + 8
    dark = paint(clip(1), "H1H", "header", GROUND, Look(Face("sans", 700), 20, contrast=5), rng)
    assert dark.is_legible  # on black, five levels are many standard deviations
    dots = paint(clip(1), "...", "inside", GROUND, Look(Face("sans"), 40), rng)
    assert not dots.is_legible


def test_no_room_is_said():
    rng = np.random.default_rng(6)
    assert paint(clip(1), "W" * 60, "inside", GROUND, Look(Face("sans"), 20), rng) is None
    assert paint(clip(1), "ab", "moving", GROUND, Look(Face("sans"), 20), rng) is None
    assert paint(clip(1), "  ", "inside", GROUND, Look(Face("sans"), 20), rng) is None


@pytest.mark.parametrize("family", ["sans", "italic", "uni", "pillow", *foreign_families()])
@pytest.mark.parametrize("height", [8, 13, 27, 40])
def test_capitals_have_the_height_asked_for(family, height):
    (letter,) = letters("H", Face(family), height)
    assert abs(letter.coverage.shape[0] - height) <= 1
    assert letter.at == (0, 0)


def test_chinese_letters_are_drawn_and_not_replaced():
    pictures = {letters(one, Face("uni"), 24)[0].coverage.tobytes() for one in "方徐贾吴曾模拟设任试"}
    assert len(pictures) == 10


def test_inscriptions_name_a_person_of_the_header_and_come_in_many_forms():
    made = [inscription(np.random.default_rng(seed), chinese=bool(seed % 2)) for seed in range(400)]
    assert len({one.text for one in made}) > 350
    assert {one.kind for one in made} == {"name", "id", "date"}
    assert all(any(map(is_han, one.text)) for one in made if one.is_chinese and one.kind != "date")
    assert not any(any(map(is_han, one.text)) for one in made if not one.is_chinese)
