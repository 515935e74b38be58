import numpy as np
import pytest

from dicom_ai.simulate.phantom import Phantom, lung, uterus
from dicom_ai.simulate.screen import Header, layouts, screen, sector_size

LAYOUTS = ("logiq-e9-still", "logiq-e9-clip", "other-vendor")
MAKERS = ("voluson-e10", "epiq-7c-still", "epiq-7c-clip", "aplio-i800", "samsung-ws80a", "mindray-nuewa-r9s")
ALL = [*LAYOUTS, *MAKERS]
HEADER = Header(name="INVENTED, ONE", id="PH1234567", caption="RT LUNG")


def phantoms(layout: str, count: int) -> list[Phantom]:
    size = sector_size(layout)
    made = [lung(seed, labels={"b_lines"}, size=size) for seed in range(count)]
    return made + [uterus(seed, label="submucous_fibroid", size=size) for seed in range(count)]


def test_the_layouts_are_those_of_the_scanners():
    known = layouts()
    assert set(known) == set(ALL)
    still, clip, other = (known[name] for name in LAYOUTS)
    assert (still.rows, still.columns, still.region) == (873, 1164, (2, 109, 1057, 805))
    assert (clip.rows, clip.columns, clip.region) == (802, 1054, (0, 40, 1053, 736))
    assert (other.rows, other.columns, other.region) == (768, 1024, (20, 80, 900, 740))


@pytest.mark.parametrize("layout", ALL)
def test_the_sector_lies_whole_inside_the_region(layout):
    for phantom in phantoms(layout, 8 if layout in LAYOUTS else 2):
        shown = screen(phantom, layout, HEADER)
        x0, y0, x1, y1 = shown.region
        rows, columns = np.nonzero(shown.sector_mask)
        assert shown.sector_mask.sum() == phantom.sector_mask.sum()
        assert x0 <= columns.min()
        assert columns.max() <= x1
        assert y0 <= rows.min()
        low, high = layouts()[layout].drop
        assert low <= y1 - rows.max() <= high


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_phantom_shows_inside_the_sector(layout):
    phantom = phantoms(layout, 1)[0]
    shown = screen(phantom, layout, HEADER)
    assert np.array_equal(shown.frames[0][shown.sector_mask], phantom.frames[0][phantom.sector_mask])
    assert np.array_equal(shown.sector.mask(*shown.sector_mask.shape), shown.sector_mask)
    assert shown.signs["b_lines"].sum() == phantom.signs["b_lines"].sum()
    assert not (shown.signs["b_lines"] & ~shown.sector_mask).any()
    changed = (shown.frames != shown.twin).any(axis=0)
    assert changed.any()
    assert not (changed & ~shown.signs["b_lines"]).any()


@pytest.mark.parametrize("layout", ALL)
def test_there_is_text_outside_the_region_and_inside_it_but_never_on_the_sector(layout):
    shown = screen(phantoms(layout, 1)[0], layout, HEADER)
    x0, y0, x1, y1 = shown.region
    inside = np.zeros_like(shown.sector_mask)
    inside[y0 : y1 + 1, x0 : x1 + 1] = True
    assert (shown.furniture & ~inside).sum() > 500
    assert (shown.furniture & inside).sum() > 500
    assert not (shown.furniture & shown.sector_mask).any()
    first_row = np.flatnonzero(shown.sector_mask.any(axis=1))[0]
    label = shown.furniture[y0:first_row, x0 : x0 + 120]
    assert label.any()
    if layout.startswith("epiq"):  # a line of text is cut in half by the region's edge
        assert shown.furniture[y0 - 2 : y0, x0 : x0 + 120].any()
        assert shown.furniture[y0 : y0 + 2, x0 : x0 + 120].any()
    if layout.startswith("mindray"):
        assert shown.furniture[y0 + 450 : y0 + 500, x1 - 20 : x1].any()
        assert shown.furniture[y0 + 450 : y0 + 500, x1 + 1 : x1 + 20].any()


def test_furniture_of_the_logiq_stands_where_the_scanner_has_it():
    phantom = phantoms("logiq-e9-still", 1)[0]
    shown = screen(phantom, "logiq-e9-still", HEADER)
    assert shown.furniture[170:500, 2].all()  # the grey bar touches the left side of the region
    assert shown.furniture[:109].any()  # name, ID, date: the identity band
    assert shown.furniture[109:805, 1020:1058].any()  # depth ticks inside the region
    assert shown.furniture[109:805, 1058:].any()  # settings outside
    last_row = np.flatnonzero(shown.sector_mask.any(axis=1))[-1]
    assert shown.furniture[last_row + 1 : 806, 300:700].any()  # caption below the sector


def test_the_header_is_burned_in_and_nothing_else_depends_on_it():
    phantom = phantoms("logiq-e9-still", 1)[0]
    one = screen(phantom, "logiq-e9-still", HEADER)
    two = screen(phantom, "logiq-e9-still", Header(name="OTHER, NAME", id="PH7654321", caption="RT LUNG"))
    rows, _ = np.nonzero((one.frames != two.frames)[0])
    assert len(rows) > 0
    assert rows.max() < 109


def test_rgb_text_is_tinted_and_the_picture_is_grey():
    phantom = phantoms("logiq-e9-still", 1)[0]
    shown = screen(phantom, "logiq-e9-still", HEADER, rgb=True)
    assert shown.frames.shape == (1, 873, 1164, 3)
    inside = shown.frames[0][shown.sector_mask]
    assert np.array_equal(inside[:, 0], inside[:, 2])
    text = shown.frames[0][shown.furniture].astype(int)
    assert (text[:, 0] - text[:, 2]).max() > 60


def test_a_phantom_of_another_size_is_refused():
    with pytest.raises(ValueError, match="needs a phantom of"):
        screen(lung(1, labels=(), size=(240, 300)), "logiq-e9-still", HEADER)
