"""What the list of points must not hold against a result, and what it must all the same."""

import copy

from dicom_ai.instance import US_MULTI_FRAME
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.judge import complaints, set_complaints
from tests.judges import verdict_on
from tests.results_set import ResultSet, result_set


def points(made: ResultSet) -> set[int]:
    found = [complaint for ds in (made.report, *made.captures) for complaint in complaints(ds, made.all)]
    return {complaint.point for complaint in (*found, *set_complaints(made.all))}


def without_frames(made: ResultSet) -> ResultSet:
    made = copy.deepcopy(made)
    for group in items.groups(made.report):
        for region in items.children(group):
            for image in items.children(region) if region.ValueType == "SCOORD" else ():
                del image.ReferencedSOPSequence[0].ReferencedFrameNumber
    return made


def test_a_clip_of_one_frame_needs_no_number_of_a_frame():
    made = result_set(SOPClassUID=US_MULTI_FRAME, NumberOfFrames=1)
    assert points(made) == set()
    made.sources.clear()
    assert points(made) == {6}, "nobody says that there is only one frame"


def test_a_longer_clip_needs_one():
    made = result_set(frames=4)
    assert points(made) == set()
    assert 6 in points(without_frames(made))


def test_a_reader_may_draw_outside_of_what_the_model_was_shown():
    made = result_set()
    for verdict in ("ACCEPTED", "MODIFIED", "REJECTED"):
        document = verdict_on(made.report, verdict, "lung-signs")
        assert document is not None
        assert complaints(document, made.all) == []


def test_a_readers_region_stays_inside_its_frame():
    made = result_set()
    document = verdict_on(made.report, "MODIFIED", "lung-signs")
    assert document is not None
    (region,) = (item for item in items.children(items.groups(document)[0]) if item.ValueType == "SCOORD")
    region.GraphicData = [0.0, 0.0, 641.0, 0.0, 4.0, 8.0, 0.0, 0.0]
    assert {complaint.point for complaint in complaints(document, made.all)} == {7}
