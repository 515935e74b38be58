import pytest
from pydicom.dataset import Dataset

from dicom_ai.crop.region import region_vote


def screen(*items, rows=600, columns=800):
    ds = Dataset()
    ds.Rows, ds.Columns = rows, columns
    if items:
        ds.SequenceOfUltrasoundRegions = list(items)
    return ds


def item(box, fmt=1, kind=1):
    ds = Dataset()
    ds.RegionSpatialFormat, ds.RegionDataType = fmt, kind
    names = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
    for keyword, value in zip(names, box, strict=True):
        if value is not None:
            setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((120, 60, 699, 518), (120, 60, 700, 519), id="the maximum is inclusive"),
        pytest.param((0, 60, 799, 599), (0, 60, 800, 600), id="last column and row"),
        pytest.param((120, 60, 800, 518), (120, 60, 800, 519), id="one past the last column is clamped"),
        pytest.param((0, 120, 700, 600), (0, 120, 701, 600), id="one past the last row is clamped"),
        pytest.param((120, 60, 801, 518), "region_overflow", id="two past the last column"),
        pytest.param((120, 60, 700, 601), "region_overflow", id="two past the last row"),
        pytest.param((120, 60, 120, 518), "region_empty", id="no width"),
        pytest.param((120, 518, 700, 60), "region_empty", id="upside down"),
        pytest.param((0, 0, 799, 599), "region_whole_frame", id="the whole frame"),
        pytest.param((0, 20, 799, 599), "region_whole_frame", id="almost the whole frame"),
        pytest.param((14, 38, 789, 591), (14, 38, 790, 592), id="a large share is not yet everything"),
        pytest.param((None, 60, 700, 518), "region_empty", id="a corner missing"),
    ],
)
def test_box_is_half_open_or_not_believed(box, expected):
    vote = region_vote(screen(item(box)))
    is_believed = isinstance(expected, tuple)
    assert vote.boxes == ((expected,) if is_believed else ())
    assert vote.reason == (None if is_believed else expected)


@pytest.mark.parametrize(
    ("fmt", "kind"), [(0, 0), (0, 13), (1, 13), (1, 14), (2, 1), (3, 3), (4, 10), (5, 1), (1, 0), (None, 1)]
)
def test_only_two_dimensional_tissue_or_flow_counts(fmt, kind):
    other = item((10, 10, 300, 300), kind=kind)
    other.RegionSpatialFormat = fmt
    assert region_vote(screen(other)).reason == "no_regions"


def test_colour_flow_counts():
    assert region_vote(screen(item((10, 10, 300, 300), kind=2))).boxes == ((10, 10, 301, 301),)


def test_without_a_sequence_there_is_no_region():
    vote = region_vote(screen())
    assert (vote.boxes, vote.reason, vote.seen) == ((), "no_regions", 0)


def test_dual_view_gives_two_boxes_left_to_right_and_other_items_are_ignored():
    ds = screen(
        item((336, 24, 639, 415)),
        item((32, 24, 335, 415)),
        item((32, 40, 63, 103), 0, 13),
        item((743, 0, 743, 9), 4, 10),
    )
    assert region_vote(ds).boxes == ((32, 24, 336, 416), (336, 24, 640, 416))


def test_one_impossible_region_discredits_the_rest():
    assert region_vote(screen(item((32, 24, 335, 415)), item((336, 24, 900, 415)))).reason == "region_overflow"


def test_flow_over_tissue_in_the_same_box_is_one_box():
    assert len(region_vote(screen(item((10, 10, 300, 300)), item((10, 10, 300, 300), kind=2))).boxes) == 1


def test_two_halves_of_the_whole_frame_are_the_whole_frame():
    assert region_vote(screen(item((0, 0, 399, 599)), item((400, 0, 799, 599)))).reason == "region_whole_frame"


@pytest.mark.parametrize("fmt", [2, 3, 4, 5])
@pytest.mark.parametrize("flags", [0, 1])
def test_what_is_never_tissue_is_said_whatever_its_priority(fmt, flags):
    other = item((10, 200, 300, 300), fmt, 10)
    other.RegionFlags = flags
    vote = region_vote(screen(item((10, 10, 300, 300)), other))
    assert (vote.boxes, vote.never) == (((10, 10, 301, 301),), ((10, 200, 301, 301),))


def test_a_bar_within_the_region_is_never_kept_and_a_screen_without_format_takes_nothing_out():
    vote = region_vote(screen(item((10, 10, 300, 300)), item((12, 40, 24, 90), 0, 13), item((0, 0, 799, 599), 0, 0)))
    assert vote.never == ((12, 40, 25, 91),)


@pytest.mark.parametrize("box", [(743, 522, 743, 576), (743, 522, 1900, 576), (None, 5, 9, 20)])
def test_an_impossible_waveform_does_not_discredit_the_picture(box):
    vote = region_vote(screen(item((10, 10, 300, 300)), item(box, 4, 10)))
    assert (vote.reason, vote.boxes) == (None, ((10, 10, 301, 301),))
    assert all(x1 <= 800 for _, _, x1, _ in vote.never)
