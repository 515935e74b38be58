"""The two colour maps and the two layouts of heat, and that each is an object of its own."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from dicom_ai.analysis import Style
from dicom_ai.report.capture import Shown, capture
from dicom_ai.report.checklist.captures import captured
from dicom_ai.report.content import ReportContent
from dicom_ai.report.header import part10
from dicom_ai.report.legend import legend, plain_legend
from dicom_ai.report.overlay import OPACITY, full_frames, overlay
from dicom_ai.report.rendering import Rendering, colours
from dicom_ai.settings import Settings
from tests.builders_report import kept, lung, sector, source, spot

RENDERINGS = [Rendering(*both) for both in product(("perceptual", "red_is_highest"), ("overlay", "side_by_side"))]


def lab(rgb):
    """CIELAB (CIE 15, white D65) of sRGB (IEC 61966-2-1), uint8 (n, 3)."""
    share = rgb / 255.0
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    t = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_lightness_rises_with_heat():
    values = lab(colours())
    lightness = values[:, 0]
    assert (np.diff(lightness) > 0).all()
    assert lightness[-1] - lightness[0] > 75  # of 100
    # evenly: no tenth of the scale takes less than half or more than twice its part of the rise
    steps = np.diff(lightness[np.linspace(0, 255, 11).round().astype(int)])
    assert steps.min() > 0.5 * steps.mean()
    assert steps.max() < 2 * steps.mean()
    assert np.hypot(*values[:, 1:].T).min() > 40  # never grey, so never mistaken for an echo


def test_more_heat_over_a_dark_echo_looks_lighter():
    """What the bar promises holds after blending, from a quarter of the heat on; a white echo any colour darkens."""
    heat = np.arange(256, dtype=np.uint8)[None]
    for grey in range(0, 65, 8):
        drawn = overlay(np.full((1, 256, 1), grey, np.uint8), heat, np.ones((1, 256), bool))[0]
        lightness = lab(drawn)[:, 0]
        assert lightness[-1] > lightness[0] + 20
        assert np.diff(lightness[64::16]).min() > 0, grey


def test_red_is_the_highest_of_the_other_map():
    ramp = colours("red_is_highest").astype(int)
    assert ramp.shape == (256, 3)
    assert ramp[0].tolist() == [0, 0, 255]
    assert ramp[-1].tolist() == [255, 0, 0]
    assert (np.diff(ramp[:, 0]) >= 0).all()
    assert (np.diff(ramp[:, 2]) <= 0).all()
    assert len(np.unique(ramp, axis=0)) == 256  # every level can be told from every other


@pytest.mark.parametrize("name", ["perceptual", "red_is_highest"])
@pytest.mark.parametrize("channels", [1, 3])
def test_blending_is_what_it_says(name, channels):
    rng = np.random.default_rng(3)
    frame, heat = rng.integers(0, 256, (40, 50, channels), np.uint8), rng.integers(0, 256, (40, 50), np.uint8)
    shape = rng.random((40, 50)) < 0.7
    strength = np.where(shape, heat, 0)[..., None]
    alpha = OPACITY * strength / 255.0
    expected = (1 - alpha) * frame + alpha * colours(name)[strength[..., 0]]
    assert np.abs(overlay(frame, heat, shape, name) - expected).max() <= 0.5 + 1e-3


def content(rendering, language="en") -> ReportContent:
    made = lung([source(1)], language)
    return dataclasses.replace(made, analysis=dataclasses.replace(made.analysis, rendering=rendering))


def drawn(rendering, header, language="en", class_id="b_lines"):
    """What `reporting` draws; and without text."""
    said, n = content(rendering, language), int(header.get("NumberOfFrames", 1))
    crop = kept(header, sector(int(header.Rows), int(header.Columns)), tuple(range(1, n + 1)))
    heat = spot(crop, 150, 150, 25) if class_id else None
    words = legend(said.analysis, said.findings, (0.1, 0.9, 0.7, 0.1), class_id=class_id, is_assessable=True)
    beside = plain_legend(said.analysis) if rendering.is_beside(class_id) else None
    frames = full_frames(crop, heat, words, colour_map=rendering.colours, beside=beside)
    shown = Shown(frames, crop.frame_numbers, class_id, 0, crop.outcome.box)
    return crop, heat, capture(said.analysis, header, shown), frames


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_side_by_side_holds_the_bare_picture_and_the_heated_one(frames, language):
    header = source(2, frames=frames, rows=480, columns=640)
    crop, heat, ds, pictures = drawn(Rendering(layout="side_by_side"), header, language)
    bare = full_frames(crop, None, [])
    hot = full_frames(crop, heat, [])
    x0, y0, x1, y1 = crop.outcome.box
    inside = np.zeros((480, 640), bool)
    inside[y0:y1, x0:x1] = crop.frames.any(axis=(0, 3))
    assert pictures.shape == (frames, 480, 1280, 3)
    assert (pictures[:, :, :640][:, inside] == bare[:, inside]).all()
    assert (pictures[:, :, 640:][:, inside] == hot[:, inside]).all()
    assert (pictures[:, :, 640:][:, inside] != bare[:, inside]).any()
    assert pictures[:, :, :640][:, ~inside].any()  # each half has its words: either may be looked at alone
    assert pictures[:, :, 640:][:, ~inside].any()
    assert (ds.Rows, ds.Columns) == (480, 1280)
    assert ds.SourceImageSequence[0].SpatialLocationsPreserved == "NO"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_both_halves_carry_the_warning(language):
    crop, _, _, pictures = drawn(Rendering(layout="side_by_side"), source(2, rows=480, columns=640), language)
    rgb = pictures[0].astype(int)
    x0, y0, x1, y1 = crop.outcome.box
    for first in (0, 640):
        rgb[y0:y1, x0 + first : x1 + first][crop.frames[0, ..., 0] > 0] = 0
    amber = (rgb[..., 0] > 120) & (rgb[..., 2] < 60) & (np.abs(rgb[..., 1] - 0.75 * rgb[..., 0]) < 25)
    left, right = amber[:, :640], amber[:, 640:]
    assert right.sum() >= left.sum() > 1000  # the colour bar, too, has amber in it


def test_without_heat_a_picture_stands_alone():
    header = source(1)
    _, _, ds, _ = drawn(Rendering(layout="side_by_side"), header, class_id=None)
    assert (ds.Rows, ds.Columns) == (480, 640)
    assert ds.SourceImageSequence[0].SpatialLocationsPreserved == "YES"


@pytest.mark.parametrize("frames", [1, 3])
def test_every_rendering_is_an_instance_of_its_own(frames):
    header = source(2, frames=frames)
    made = [drawn(rendering, header)[2] for rendering in RENDERINGS]
    assert len({ds.SOPInstanceUID for ds in made}) == len({ds.PixelData for ds in made}) == len(RENDERINGS)


@pytest.mark.parametrize("rendering", RENDERINGS, ids=lambda one: one.name)
@pytest.mark.parametrize("frames", [1, 3])
def test_every_rendering_holds_what_a_capture_must(rendering, frames):
    header = source(2, frames=frames)
    ds = dcmread(DicomBytesIO(part10(drawn(rendering, header)[2])))
    assert list(captured(ds, {str(header.SOPInstanceUID): header})) == []
    ds.Columns = 1279
    assert any("as large" in one.sentence for one in captured(ds, {str(header.SOPInstanceUID): header}))


def test_pictures_of_another_layout_are_refused():
    header = source(1)
    _, _, _, wide = drawn(Rendering(layout="side_by_side"), header)
    crop, *_ = drawn(Rendering(), header)
    with pytest.raises(ValueError, match="pictures"):
        capture(content(Rendering()).analysis, header, Shown(wide, (1,), "b_lines", 0, crop.outcome.box))


def test_an_analysis_remembers_its_rendering_and_an_old_one_was_an_overlay():
    said = content(Rendering("red_is_highest", "side_by_side"))
    assert ReportContent.from_json(said.to_json()) == said
    before = content(Rendering())
    old = before.to_json().replace(',"rendering":{"colours":"perceptual","layout":"overlay"}', "")
    assert "rendering" not in old
    assert ReportContent.from_json(old) == before


def test_the_settings_of_the_site_decide():
    report = {"colour_map": "red_is_highest", "rendering": "side_by_side"}
    told = Settings.model_validate({"site": {"language": "zh"}, "report": report})
    assert Style.of(told) == Style("zh", Rendering("red_is_highest", "side_by_side"))
    assert Style.of(Settings()) == Style("en", Rendering("perceptual", "overlay"))
