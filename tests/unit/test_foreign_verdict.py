"""Verdicts of another maker: any layout is read, a word that contradicts the AI report is refused."""

import itertools
import math
from io import BytesIO

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.instance import US_IMAGE
from dicom_ai.report import find
from dicom_ai.report.header import part10
from dicom_ai.report.outline import outline
from dicom_ai.report.verdict_rows import MISSED, is_verdict, read_verdict
from tests.builders_report import build, lung, source
from tests.foreign_verdict import ELLIPSE, Word, foreign_verdict
from tests.unit.test_report_verdict import ZONE, uids

CONSOLIDATION = ("95436008", "SCT", "Consolidation of lung")
B_LINES = ("BLINE", "99DICOMAI", "B-lines")
HERE = (US_IMAGE, str(source(1).SOPInstanceUID))


@pytest.fixture(scope="module")
def report() -> Dataset:
    header = source(1)
    return build(lung([header]), header)


def again(ds: Dataset) -> Dataset:
    return dcmread(BytesIO(part10(ds)))


def test_what_another_maker_wrote_is_read_whatever_its_layout(report: Dataset) -> None:
    frame_uid, region_uid = uids(report)
    document = again(foreign_verdict(
        report, Word(frame_uid, "REJECTED"), Word(region_uid, "MODIFIED", CONSOLIDATION, ELLIPSE, HERE, 1),
        Word("1.2.3.7", "", CONSOLIDATION, ELLIPSE, HERE, 1), Word("", "", CONSOLIDATION),
    ))  # fmt: skip
    assert is_verdict(document)
    read = read_verdict(document, report, zone=ZONE)
    assert (read.reader, read.organisation) == ("Müller^Jörg", "Other Clinic")
    rejected, modified, missed = read.rows
    assert [row.verdict for row in read.rows] == ["REJECTED", "MODIFIED", MISSED]
    assert (rejected.image, rejected.frame, rejected.region) == (HERE[1], None, None)
    assert (modified.class_id, modified.reader_class, modified.probability) == ("b_lines", "consolidation", 0.9312)
    assert (missed.class_id, missed.reader_class, missed.frame) == (None, "consolidation", 1)
    for row in (modified, missed):
        assert row.region is not None
        assert (min(x for x, _ in row.region), max(x for x, _ in row.region)) == pytest.approx((300, 340))
        assert (min(y for _, y in row.region), max(y for _, y in row.region)) == pytest.approx((210, 230))
    assert modified.device_uid == find.text(report, find.code.DEVICE_OBSERVER_UID, "UID")


def test_what_is_repeated_without_a_word_is_not_assessed(report: Dataset) -> None:
    frame_uid, region_uid = uids(report)
    document = foreign_verdict(report, Word(frame_uid), Word(region_uid, "REJECTED"))
    assert [(row.tracking_uid, row.verdict) for row in read_verdict(document, report, zone=ZONE).rows] == [
        (region_uid, "REJECTED")
    ]


@pytest.mark.parametrize(
    "word",
    [
        Word("REGION", "ACCEPTED", CONSOLIDATION),  # not the AI's finding
        Word("REGION", "MODIFIED", ("36118008", "SCT", "Pneumothorax")),  # of no class of ours
        Word("REGION", "REJECTED", None, ELLIPSE, (US_IMAGE, "1.2.3")),  # on another image
        Word("REGION", "MODIFIED", CONSOLIDATION, ELLIPSE[:6], HERE),  # an ellipse cut short
        Word("REGION", "PERHAPS"),
        Word("", "REJECTED"),
        Word("1.2.3.7", "", CONSOLIDATION),  # missed, nobody knows where
    ],
)
def test_a_word_that_contradicts_the_report_is_refused(report: Dataset, word: Word) -> None:
    word = Word(**{**vars(word), "uid": uids(report)[1] if word.uid == "REGION" else word.uid})
    with pytest.raises(ValueError, match=r"find|region|assess"):
        read_verdict(foreign_verdict(report, word), report, zone=ZONE)


def scoord(kind: str, *values: float) -> Dataset:
    item = Dataset()
    item.GraphicType, item.GraphicData = kind, list(values)
    return item


@seed(20261121)
@given(st.floats(50, 500), st.floats(50, 500), st.floats(2, 50), st.floats(2, 50), st.floats(0, math.pi))
def test_an_ellipse_has_the_area_and_the_centre_of_its_axes(
    x: float, y: float, a: float, b: float, turn: float
) -> None:
    across, along = (a * math.cos(turn), a * math.sin(turn)), (-b * math.sin(turn), b * math.cos(turn))
    ends = [(x - across[0], y - across[1]), (x + across[0], y + across[1])]
    ends += [(x - along[0], y - along[1]), (x + along[0], y + along[1])]
    drawn = outline(scoord("ELLIPSE", *(value for end in ends for value in end)))
    assert drawn is not None
    assert drawn[0] == drawn[-1]
    twice = sum(p[0] * q[1] - q[0] * p[1] for p, q in itertools.pairwise(drawn))
    assert abs(twice) / 2 == pytest.approx(math.pi * a * b, rel=0.01, abs=0.1)
    corners = drawn[:-1]
    assert sum(px for px, _ in corners) / len(corners) == pytest.approx(x, abs=0.1)
    assert sum(py for _, py in corners) / len(corners) == pytest.approx(y, abs=0.1)


def test_a_circle_is_a_centre_and_a_point_on_it_and_a_point_is_no_outline() -> None:
    drawn = outline(scoord("CIRCLE", 100, 100, 103, 104))
    assert drawn is not None
    assert {round(math.hypot(x - 100, y - 100), 3) for x, y in drawn} == {5.0}
    assert outline(scoord("POINT", 1, 2)) is None
    for broken in (scoord("POLYLINE", 1, 2, 3, 4), scoord("POLYLINE", 1, 2, 3), scoord("", 1, 2, 3, 4, 5, 6)):
        with pytest.raises(ValueError, match=r"area|shorter"):
            outline(broken)
