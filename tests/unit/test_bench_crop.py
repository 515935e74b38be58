"""The measuring instrument: it sees a leak where there is one, counts as it says, and makes the same objects again."""

import json

import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.commands.bench import baselines, clock, summary
from dicom_ai.commands.bench import crop as command
from dicom_ai.commands.bench.cases import LEGITIMATE, cases, places_of
from dicom_ai.commands.bench.run import Bench, Plan, which_of
from dicom_ai.commands.bench.subject import DRAWN, subject
from dicom_ai.commands.bench.verdict import Verdict, trace, verdict
from dicom_ai.crop.polygon import rectangle
from dicom_ai.errors import SettingsError
from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.simulate.places import PLACES


@pytest.fixture(scope="module")
def still():
    return subject(3, 0, "known")


@pytest.fixture(scope="module")
def made(still):
    return {case.painted.place if case.painted else None: case for case in cases(still)}


def outcome_of(subject, box, blanked=()):
    rows, columns = subject.shown.sector_mask.shape
    return CropOutcome("cropped", None, rows, columns, 1, keep=(rectangle(box),), box=box, blanked=blanked)


def kept_of(case, box, blanked=()):
    x0, y0, x1, y1 = box
    frames = case.painted.frames if case.painted else case.subject.shown.frames
    pixels = np.array(frames[:, y0:y1, x0:x1]).reshape(1, y1 - y0, x1 - x0, -1)
    for left, top, right, low in blanked:
        pixels[:, top - y0 : low - y0, left - x0 : right - x0] = 0
    return Kept(pixels, (1,), outcome_of(case.subject, box, blanked))


def test_a_crop_that_keeps_everything_leaks_in_every_place(still, made):
    rows, columns = still.shown.sector_mask.shape
    assert set(made) == {None, *places_of(still)}
    for place, case in made.items():
        kept = kept_of(case, (0, 0, columns, rows))
        found = verdict(case, kept.outcome, kept, 1.0)
        assert found.outside == 0
        if place is not None and case.painted.is_legible:
            assert found.trace.leaked == sum(glyph.is_legible for glyph in case.painted.glyphs)
            assert found.trace.most == 1.0


def test_a_blanked_box_takes_the_leak_away_and_pixels_left_in_it_are_counted(still, made):
    case = made["inside"]
    corners = [(*glyph.corners[0], *glyph.coverage.shape) for glyph in case.painted.glyphs]
    box = (min(c[0] for c in corners), min(c[1] for c in corners),
           max(c[0] + c[3] for c in corners), max(c[1] + c[2] for c in corners))  # fmt: skip
    whole = (0, 0, *reversed(still.shown.sector_mask.shape))
    kept = kept_of(case, whole, (box,))
    found = verdict(case, kept.outcome, kept, 1.0)
    assert (found.trace.leaked, found.trace.touched, found.outside) == (0, 0, 0)
    forgotten = Kept(kept_of(case, whole).frames, (1,), kept.outcome)
    assert verdict(case, kept.outcome, forgotten, 1.0).outside > 0


def test_less_than_three_tenths_of_a_glyph_is_touched_and_not_leaked(made):
    painted = made["inside"].painted
    mask = np.zeros(painted.frames.shape[1:3], bool)
    for glyph in painted.glyphs:
        ys, xs = glyph.pixels(0)
        few = len(ys) // 5
        mask[ys[:few], xs[:few]] = True
    left = trace(painted, mask, (0,))
    assert left.leaked == 0
    assert left.touched > 0
    assert trace(painted, ~mask, (0,)).leaked > 0
    assert trace(painted, ~mask, ()).leaked == 0  # a frame that was not kept shows nothing


def test_same_seed_and_number_make_the_same_objects_again(still, made):
    for case in cases(subject(3, 0, "known")):
        first = made[case.painted.place if case.painted else None]
        assert first.ds.PixelData == case.ds.PixelData
        assert first.name == case.name
    assert made["header"].ds.PixelData != made[None].ds.PixelData
    assert (still.shown.frames == subject(3, 0, "known").shown.frames).all()  # encoding did not touch them


def test_screens_are_known_ones_drawn_ones_or_both():
    assert [subject(3, number, "all").is_known for number in (0, 2)] == [True, False]
    drawn = [subject(3, number, "drawn") for number in (0, 10 * DRAWN)]
    assert drawn[0].layout == drawn[1].layout
    assert drawn[0].layout.name == "drawn-0"
    with pytest.raises(SettingsError, match="known, drawn, all"):
        which_of("some")


def test_objects_go_through_the_crop_and_summary_adds_up(tmp_path):
    run = Bench(Plan(5, 3, "known"), tmp_path, None)
    seen = [one.verdict for one in run.run(lambda _: None)]
    assert not list(tmp_path.iterdir())
    assert len(seen) >= 6
    assert all(one.outside == 0 for one in seen)
    total = next(row for row in summary.leaks(seen) if row["place"] == summary.ALL)
    assert total["painted"] == len(seen) - 1
    assert total["accepted"] == sum(one.is_accepted and one.place is not None for one in seen)
    outside = next(row for row in summary.leaks(seen) if row["place"].startswith("header, side"))
    assert outside["leaks"] == 0
    assert run.exports is None
    region = next(row for row in summary.others(run.baselines) if row["way"] == baselines.REGION)
    assert region["leaks"]["caption"][0] == region["leaks"]["caption"][1] == 1  # the box holds the caption
    assert region["leaks"]["header"][0] == 0
    for row in (one.row() for one in seen):
        assert json.loads(json.dumps(row)) == json.loads(json.dumps(row, default=str))


def test_baselines_let_through_what_they_are_known_to(made):
    ds = made[None].ds
    region, fixed = baselines.region_box(ds), baselines.fixed_rectangle(ds)
    assert region.sum() == (1057 - 2 + 1) * (805 - 109 + 1)
    assert not fixed[:70, :960].any()
    assert fixed[70:].all()


def test_deid_blanks_outside_the_region_and_lets_through_what_is_in_it(made, tmp_path):
    if not baselines.has_deid():
        pytest.skip("pydicom/deid is not installed")
    path = tmp_path / "a.dcm"
    for place, leaks in (("header", False), ("inside", True)):
        made[place].ds.save_as(path, enforce_file_format=True)
        painted = made[place].painted
        mask = baselines.by_deid(path, painted.frames)
        assert dcmread(path).Rows == mask.shape[0]
        assert (trace(painted, mask, (0,)).leaked > 0) == leaks


@pytest.mark.parametrize(("found", "of", "bound"), [(0, 3000, 0.000998), (0, 300, 0.009936), (1, 100, 0.0466)])
def test_upper_bound_is_that_of_clopper_and_pearson(found, of, bound):
    assert summary.upper_bound(found, of) == pytest.approx(bound, rel=2e-3)


def test_upper_bound_of_nothing_and_of_all_is_one():
    assert summary.upper_bound(0, 0) == summary.upper_bound(4, 4) == 1.0


def judged(name, place, status="cropped", **changes):
    rest = {"layout": "a", "is_known": True, "kind": "lung", "shape": "fan", "is_dim": False, "frames": 1,
            "is_chinese": False, "reason": None if status == "cropped" else "text_on_tissue", "ms": 1.0, "outside": 0,
            "blanked": 0, "iou": 0.97, "tissue": 0.98, "trace": None}  # fmt: skip
    return Verdict(name=name, place=place, status=status, **(rest | changes))


def test_cost_compares_twins_of_the_same_picture():
    seen = [judged(f"1:{k}:clean", None) for k in range(4)]
    seen += [judged(f"1:{k}:header", "header", "cropped" if k else "quarantined") for k in range(4)]
    cost = next(row for row in summary.twins(seen) if row.get("place") == "header")
    assert (cost["clean_accepted"], cost["painted_accepted"], cost["cost_points"]) == (1.0, 0.75, 25.0)


def test_clock_finds_every_part_and_puts_the_crop_back_as_it_was(monkeypatch):
    monkeypatch.setattr(clock, "LONG", 2)
    before = clock.examined.iter_frames, clock.TextCheck.look
    rows = clock.milliseconds(5, 1, lambda _: None)
    assert (clock.examined.iter_frames, clock.TextCheck.look) == before
    found = {(row["what"], row["part"]): row["ms"] for row in rows}
    assert len(found) == 10
    for part in ("decode", "geometry", "text", "emission"):
        assert found["first frame", part] > 0, part
    parts = sum(found["first frame", part] for part in ("geometry", "text", "emission"))
    assert found["first frame", "all but decoding"] == pytest.approx(parts, abs=0.1)


def test_command_prints_rows_and_sheets(tmp_path, capsys):
    wanted = command.Wanted(Plan(4, 3, "drawn", only=0), timed=0, png=tmp_path)
    command.bench(wanted, as_json=True)
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["row"] for row in rows} >= {"object", "run", "leaks", "accept", "cost", "fit", "baseline"}
    assert "seed 3" in err
    assert "real objects: not asked for" in err
    assert all(row["place"] in {None, *PLACES} for row in rows if row["row"] == "object")
    with pytest.raises(SettingsError, match="go together"):
        command.bench(command.Wanted(Plan(1, 1), real=tmp_path), as_json=True)


def test_legitimate_places_are_those_outside_and_the_still_label():
    assert set(LEGITIMATE) == {"header", "side", "caption", "edge", "label"}
