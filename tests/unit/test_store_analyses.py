"""Crops, scores, analyses and results in the ledger: what stands stays, what is gone is made again."""

import json
from pathlib import Path

import pytest

from dicom_ai.finding import FrameScore
from dicom_ai.kept import CropOutcome
from dicom_ai.store import analyses, results, tables
from dicom_ai.store.analyses import Analysis
from dicom_ai.store.database import read, write
from tests.ledger import START, Place, place

pytestmark = pytest.mark.databases

CROPPED = CropOutcome("cropped", None, 40, 50, 1, keep=(((1.0, 2.0), (9.0, 2.0), (5.0, 8.0)),), box=(1, 2, 9, 8))
REFUSED = CropOutcome("quarantined", "no_picture", 40, 50, 1)
SCORES = (FrameScore(1, (0.1, 0.7), 0.9), FrameScore(3, (1e-9, 1.0), 0.2))
SR, OTHER_SR = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return place(tmp_path / "data")


def newest_set(here: Place) -> str:
    return str(max(here.rows(tables.sets), key=lambda row: row.revision).id)


def close(here: Place, set_id: str) -> None:
    with write(here.engine) as connection:
        connection.execute(tables.sets.update().where(tables.sets.c.id == set_id).values(state="closed"))


def closed_sets(here: Place, count: int) -> list[str]:
    """That many revisions of one study, one object each more."""
    found = []
    for number in range(count):
        here.keeper.keep([here.spooled(number + 1)])
        found.append(newest_set(here))
        close(here, found[-1])
    return found


def analysed(here: Place, set_id: str, *sr_classes: str) -> Analysis:
    one = Analysis(f"key-{set_id}", set_id, START, json.dumps({"said": "方"}, ensure_ascii=False))
    with write(here.engine) as connection:
        assert analyses.save_analysis(connection, one, card="card", captures=[])
        for sop_class in sr_classes:
            result = {"uid": f"2.25.{set_id}.{sop_class}", "sop_class": sop_class, "digest": "d" * 64}
            analyses.save_result(connection, one, kind="report", result=result)
    return one


def test_members_come_in_the_scanners_order(here: Place) -> None:
    for number, place_in_series in ((1, 3), (2, 1), (3, 2)):
        here.keeper.keep([here.spooled(number, series_number=1, instance_number=place_in_series)])
    with read(here.engine) as connection:
        found = analyses.source_set(connection, newest_set(here))
    assert [one.instance.instance_number for one in found.members] == [1, 2, 3]
    assert found.members[0].instance == here.spooled(2, series_number=1, instance_number=1).instance
    with read(here.engine) as connection, pytest.raises(KeyError):
        analyses.source_set(connection, "no such set")


def test_a_crop_is_read_back_as_it_was_and_the_first_one_stands(here: Place) -> None:
    here.keeper.keep([here.spooled(1)])
    (row,) = here.rows(tables.objects)
    with write(here.engine) as connection:
        assert analyses.crop_of(connection, row.digest) is None
        analyses.save_crop(connection, row.digest, CROPPED, START)
        analyses.save_crop(connection, row.digest, REFUSED, START)
        found = analyses.crop_of(connection, row.digest)
    assert found is not None
    assert found.row() == CROPPED.row()
    assert analyses.outcome_digest(found) == analyses.outcome_digest(CROPPED)
    assert [row.state for row in here.rows(tables.objects)] == ["stored"]


def test_a_refused_crop_quarantines_the_object_once(here: Place) -> None:
    here.keeper.keep([here.spooled(1)])
    (row,) = here.rows(tables.objects)
    for _ in range(2):
        with write(here.engine) as connection:
            analyses.save_crop(connection, row.digest, REFUSED, START)
    (row,) = here.rows(tables.objects)
    assert (row.state, row.reason) == ("quarantined", "no_picture")
    assert [event.ids for event in here.rows(tables.events) if event.kind == "quarantined"] == [
        {"object": row.digest, "reason": "no_picture"}
    ]


def test_scores_are_those_of_an_object_a_crop_and_a_card(here: Place) -> None:
    here.keeper.keep([here.spooled(1)])
    (row,) = here.rows(tables.objects)
    with write(here.engine) as connection:
        analyses.save_scores(connection, row.digest, "crop", "card", SCORES)
        analyses.save_scores(connection, row.digest, "crop", "card", SCORES[:1])  # the first stands
        assert analyses.scores_of(connection, row.digest, "crop", "card") == SCORES
        assert analyses.scores_of(connection, row.digest, "crop", "other") is None
        assert analyses.scores_of(connection, row.digest, "other", "card") is None


def test_an_analysis_marks_what_was_stored_and_nothing_else(here: Place) -> None:
    here.keeper.keep([here.spooled(1), here.spooled(2)])
    first, second = here.rows(tables.objects)
    with write(here.engine) as connection:
        analyses.save_crop(connection, first.digest, REFUSED, START)
    one = analysed(here, newest_set(here))
    assert {row.digest: row.state for row in here.rows(tables.objects)} == {
        first.digest: "quarantined",
        second.digest: "analysed",
    }
    with write(here.engine) as connection:
        assert not analyses.save_analysis(connection, one, card="card", captures=[])
        assert analyses.analysis(connection, one.key) == analyses.analysis_of_set(connection, one.set_id) == one
    assert len(here.rows(tables.analyses)) == 1


def test_the_result_that_stands_is_given_back(here: Place) -> None:
    (set_id,) = closed_sets(here, 1)
    one = analysed(here, set_id)
    first, later = ({"uid": "2.25.7", "sop_class": SR, "digest": digest * 64} for digest in "ab")
    with write(here.engine) as connection:
        assert analyses.save_result(connection, one, kind="report", result=first) == first
        assert analyses.save_result(connection, one, kind="report", result=later) == first
        assert analyses.results_of(connection, one.key, "report") == [first]
        assert results.stored_digest(connection, digest=None, result="2.25.7") == "a" * 64
        assert results.stored_digest(connection, digest="own", result=None) == "own"


def test_the_predecessor_is_the_newest_report_before_in_the_same_form_if_there_is_one(here: Place) -> None:
    first, second, third = closed_sets(here, 3)
    analysed(here, first, OTHER_SR, SR)
    with read(here.engine) as connection:
        for before in (first, second, third):  # the second and third have none of their own
            found = analyses.predecessor_report(connection, before, SR)
            assert found is not None
            assert (found["uid"], found["sop_class"]) == (f"2.25.{first}.{SR}", SR)
        assert analyses.predecessor_report(connection, None, SR) is None
    analysed(here, second, OTHER_SR)
    with read(here.engine) as connection:
        found = analyses.predecessor_report(connection, third, SR)
    assert found is not None
    assert (found["uid"], found["sop_class"]) == (f"2.25.{second}.{OTHER_SR}", OTHER_SR)


def test_a_study_without_any_report_has_no_predecessor(here: Place) -> None:
    first, _ = closed_sets(here, 2)
    analysed(here, first)
    with read(here.engine) as connection:
        assert analyses.predecessor_report(connection, first, SR) is None


def test_unanswered_are_closed_sets_without_analysis_end_or_successor(here: Place) -> None:
    first, second = closed_sets(here, 2)
    with read(here.engine) as connection:
        assert analyses.unanswered_sets(connection) == [second]
        found = analyses.source_set(connection, second)
    for _ in range(2):
        with write(here.engine) as connection:
            analyses.end_set(connection, found, "analysis_failed", START)
    with read(here.engine) as connection:
        assert analyses.unanswered_sets(connection) == []
    assert [event.ids for event in here.rows(tables.events) if event.kind == "set_ended"] == [
        {"set": second, "reason": "analysis_failed"}
    ]
    assert first != second
