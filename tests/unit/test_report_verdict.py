"""A reader's verdict as a document: what it says, that it is the same each time, and what comes of reading it back."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from dicom_ai.commands.validate import findings
from dicom_ai.instance import STRUCTURED_REPORTS, Instance
from dicom_ai.report import find
from dicom_ai.report.assessed import Assessment, Missed
from dicom_ai.report.header import part10
from dicom_ai.report.structured import SR_CLASSES
from dicom_ai.report.text import report_lines
from dicom_ai.report.verdict import Reader, verdict_report
from dicom_ai.report.verdict_rows import MISSED, VerdictDocument, is_verdict, prevailing, read_verdict
from tests.builders_report import NAMESPACE, REGION, build, lung, named, source, uterus
from tests.unit.test_report_validators import ALLOWED, tool

READER = Reader("Muster^Doktor", "Invented Hospital", "2026-01-03T08:15:00")
TRIANGLE = ((110.0, 70.0), (200.0, 70.0), (200.5, 200.25), (110.0, 70.0))
ZONE = ZoneInfo("Asia/Shanghai")


def report(frames: int = 1, language: str = "en", sop_class: str = SR_CLASSES[0], **values: object) -> Dataset:
    header = source(1, frames=frames, **values)
    return build(lung([header], language), header, sop_class=sop_class)


def uids(of: Dataset) -> list[str]:
    return [find.tracking_uid(group) for group in find.groups(of)]


def verdict(of: Dataset, *said: Assessment, missed: tuple[Missed, ...] = (), reader: Reader = READER) -> Dataset:
    return verdict_report(of, said, missed, reader, namespace=NAMESPACE)


def again(ds: Dataset) -> Dataset:
    return dcmread(BytesIO(part10(ds)))


def full(of: Dataset) -> Dataset:
    """One of each: the frame rejected, its region modified, another finding missed."""
    image, frame = find.source(find.region(find.groups(of)[0]) or Dataset())
    frame_uid, region_uid = uids(of)[:2]
    return verdict(
        of,
        Assessment(frame_uid, "REJECTED", reason="artefact"),
        Assessment(region_uid, "MODIFIED", "consolidation", TRIANGLE),
        missed=(Missed(image, frame, "a_lines", TRIANGLE),),
    )


def test_the_classes_a_verdict_may_have_are_those_of_a_report():
    assert set(STRUCTURED_REPORTS) == set(SR_CLASSES)


@pytest.mark.parametrize(
    ("language", "frames", "sop_class"),
    [("en", 1, SR_CLASSES[0]), ("en", 30, SR_CLASSES[1]), ("zh", 1, SR_CLASSES[2]), ("zh", 30, SR_CLASSES[0])],
)
def test_the_validators_find_nothing(language, frames, sop_class, tmp_path: Path):
    path = tmp_path / "verdict.dcm"
    path.write_bytes(part10(full(report(frames, language, sop_class))))
    tool("dciodvfy")
    assert [line for line in findings("dciodvfy", path) if not ALLOWED.search(line)] == []
    tool("dsrdump")
    assert [line for line in findings("dsrdump", path) if not line.startswith("W:")] == []
    (tmp_path / "ai.dcm").write_bytes(part10(report(frames, language, sop_class)))
    tool("dcentvfy")
    assert findings("dcentvfy", *sorted(tmp_path.glob("*.dcm"))) == []


def test_the_header_says_who_verified_what():
    ai = report(sop_class=SR_CLASSES[1], TimezoneOffsetFromUTC="+0800")
    done = verdict(
        ai,
        Assessment(uids(ai)[1], "ACCEPTED"),
        reader=Reader("王^医", "医院", "2026-01-03T00:15:00+00:00", ("4711", "99LOCAL", "staff")),
    )
    assert (done.CompletionFlag, done.VerificationFlag) == ("COMPLETE", "VERIFIED")
    assert "PreliminaryFlag" not in done
    (observer,) = done.VerifyingObserverSequence
    assert str(observer.VerifyingObserverName) == "王^医"
    assert observer.VerificationDateTime == "20260103081500", "as the clock of the study's zone shows it"
    assert observer.VerifyingObserverIdentificationCodeSequence[0].CodeValue == "4711"
    assert [item.ObserverType for item in done.AuthorObserverSequence] == ["PSN", "DEV"]
    (study,) = done.PredecessorDocumentsSequence
    (named_item,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert (named_item.ReferencedSOPInstanceUID, named_item.ReferencedSOPClassUID) == (ai.SOPInstanceUID, SR_CLASSES[1])
    assert done.SOPClassUID == SR_CLASSES[1]
    assert done.StudyInstanceUID == ai.StudyInstanceUID
    assert done.SeriesInstanceUID != ai.SeriesInstanceUID
    assert done.SOPInstanceUID != ai.SOPInstanceUID
    assert [item.ConceptCodeSequence[0].CodeValue for item in named(done, "121005")] == ["121007", "121006"]


def test_the_ai_report_is_left_as_it_is():
    ai = report()
    before = part10(ai)
    full(ai)
    assert part10(ai) == before


def test_the_same_input_gives_the_same_bytes_wherever_the_report_comes_from():
    ai = report()
    first = part10(full(ai))
    assert part10(full(again(ai))) == first
    buffer = BytesIO()
    plain = again(ai)
    plain.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    plain.save_as(buffer, implicit_vr=True, little_endian=True)
    implicit = dcmread(BytesIO(buffer.getvalue()))
    assert implicit.is_implicit_VR
    assert part10(full(implicit)) == first
    other = part10(verdict(ai, Assessment(uids(ai)[0], "REJECTED", reason="artefact")))
    assert dcmread(BytesIO(other)).SOPInstanceUID != dcmread(BytesIO(first)).SOPInstanceUID


def test_no_number_of_the_ai_stands_unnamed_under_the_class_of_the_reader():
    ai = report()
    region_uid = uids(ai)[1]
    assert named(find.groups(ai)[1], "111012"), "the AI's own group has its certainty"
    (group,) = find.groups(verdict(ai, Assessment(region_uid, "MODIFIED", "consolidation")))
    assert not named(group, "111012")
    lines = report_lines(group)
    assert lines.index("  Finding of the AI: B-lines on lung ultrasound") < lines.index("  Finding: Lung consolidation")
    at = lines.index("  Probability of B-lines: 93.12 %")
    assert lines[at + 1] == "    Finding: B-lines on lung ultrasound"


def test_a_rejected_finding_says_so_before_it_names_itself():
    ai = report()
    lines = report_lines(verdict(ai, Assessment(uids(ai)[1], "REJECTED", reason="rib shadow")))
    rejected = lines.index("      Assessment of the AI finding by a reader: Rejected")
    finding = lines.index("      Finding: B-lines on lung ultrasound")
    assert rejected < lines.index("      Comment: rib shadow") < finding


def test_the_first_thing_read_says_what_was_not_assessed_and_that_the_model_is_a_toy():
    ai = report()
    text = "\n".join(report_lines(verdict(ai, Assessment(uids(ai)[1], "ACCEPTED"))))
    assert "1 accepted, 0 modified, 0 rejected, 0 missed by the AI" in text
    assert "1 of the 2 entries of the AI report are not listed here" in text
    assert "DEMONSTRATION MODEL" in text
    assert "Present" not in text, "answers of the AI that nobody verified are not in a verified document"


@pytest.mark.parametrize("frames", [1, 30])
@pytest.mark.parametrize("with_report", [True, False])
def test_reading_back_gives_what_was_said(frames, with_report):
    ai = report(frames)
    document = again(full(ai))
    assert is_verdict(document)
    read = read_verdict(document, ai if with_report else None, zone=ZONE)
    assert (read.reader, read.organisation) == (READER.name, READER.organisation)
    assert read.verified_at == datetime(2026, 1, 3, 0, 15, tzinfo=UTC)
    assert read.reports == (ai.SOPInstanceUID,)
    rejected, modified, missed = read.rows
    assert [row.verdict for row in read.rows] == ["REJECTED", "MODIFIED", MISSED]
    assert [row.tracking_uid for row in read.rows[:2]] == uids(ai)[:2]
    assert missed.tracking_uid not in uids(ai)
    assert {row.image for row in read.rows} == {source(1).SOPInstanceUID}
    assert {row.frame for row in read.rows} == {None if frames == 1 else 1}
    device = named(ai, "121012")[0].UID
    for row in (rejected, modified):
        assert (row.class_id, row.probability, row.threshold, row.device_uid) == ("b_lines", 0.9312, 0.5, device)
    assert (rejected.reader_class, rejected.region, rejected.reason) == (None, None, "artefact")
    assert (modified.reader_class, modified.region) == ("consolidation", TRIANGLE)
    assert (missed.class_id, missed.probability, missed.device_uid) == (None, None, "")
    assert (missed.reader_class, missed.region) == ("a_lines", TRIANGLE)


def test_what_was_not_assessed_is_no_label_and_rejected_is_not_missing():
    ai = report()
    frame_uid, region_uid = uids(ai)
    only = read_verdict(verdict(ai, Assessment(region_uid, "REJECTED")), ai, zone=ZONE)
    assert [(row.tracking_uid, row.verdict) for row in only.rows] == [(region_uid, "REJECTED")]
    repeated = again(verdict(ai, Assessment(region_uid, "REJECTED"), Assessment(frame_uid, "ACCEPTED")))
    (group, _) = find.groups(repeated)
    group.ContentSequence = [item for item in group.ContentSequence if item not in named(group, "AI-ASSESS")]
    read = read_verdict(repeated, ai, zone=ZONE)
    assert [row.tracking_uid for row in read.rows] == [region_uid], "repeated without a word is not assessed"


def test_a_group_that_claims_an_assessment_of_nothing_known_is_no_missed_finding():
    ai, other = report(), report(frames=30)
    document = verdict(other, Assessment(uids(other)[1], "ACCEPTED"))
    assert read_verdict(document, ai, zone=ZONE).rows == ()


def test_what_the_verdict_repeats_of_the_ai_does_not_count_when_the_report_is_at_hand():
    ai = report()
    document = again(verdict(ai, Assessment(uids(ai)[1], "ACCEPTED")))
    (certainty,) = named(document, "111012")
    certainty.MeasuredValueSequence[0].NumericValue = "1.00"
    assert read_verdict(document, ai, zone=ZONE).rows[0].probability == 0.9312
    assert read_verdict(document, None, zone=ZONE).rows[0].probability == 0.01


def test_an_accepted_frame_without_a_finding_is_a_label_too():
    quiet, loud = source(1), source(2)
    ai = build(lung([quiet, loud]), quiet, loud)
    document = read_verdict(verdict(ai, Assessment(uids(ai)[0], "ACCEPTED")), ai, zone=ZONE)
    (row,) = document.rows
    assert (row.class_id, row.verdict, row.image) == (None, "ACCEPTED", quiet.SOPInstanceUID)


def test_the_last_verified_document_wins_whole():
    ai = report()
    frame_uid, region_uid = uids(ai)
    later = Reader("Other^Reader", "Invented Hospital", "2026-01-04T08:15:00")
    first = read_verdict(verdict(ai, Assessment(frame_uid, "ACCEPTED"), Assessment(region_uid, "ACCEPTED")), zone=ZONE)
    last = read_verdict(verdict(ai, Assessment(region_uid, "REJECTED"), reader=later), zone=ZONE)
    won = prevailing([last, first])
    assert list(won) == [ai.SOPInstanceUID]
    assert won[str(ai.SOPInstanceUID)] is last


@pytest.mark.parametrize(
    ("change", "value"),
    [("VerificationFlag", "UNVERIFIED"), ("CompletionFlag", "PARTIAL"), ("VerifyingObserverSequence", []),
     ("PredecessorDocumentsSequence", []), ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.59")],
)  # fmt: skip
def test_what_is_not_verified_is_no_verdict(change, value):
    ai = report()
    document = verdict(ai, Assessment(uids(ai)[0], "ACCEPTED"))
    assert is_verdict(document)
    setattr(document, change, value)
    assert not is_verdict(document)
    assert not is_verdict(ai)


@pytest.mark.parametrize("moment", ["", "2026", "20261399000000", "soon"])
def test_a_verdict_without_a_time_is_refused(moment):
    ai = report()
    document = verdict(ai, Assessment(uids(ai)[0], "ACCEPTED"))
    document.VerifyingObserverSequence[0]["VerificationDateTime"]._value = moment
    with pytest.raises(ValueError, match=r"verified|month"):
        read_verdict(document, ai, zone=ZONE)


@pytest.mark.parametrize(
    "said",
    [
        Assessment("1.2.3", "ACCEPTED"),
        Assessment("", "MODIFIED"),
        Assessment("", "ACCEPTED", "consolidation"),
        Assessment("", "REJECTED", None, TRIANGLE),
        Assessment("", "MODIFIED", "b_lines"),
        Assessment("", "MODIFIED", "no_class"),
        Assessment("", "MODIFIED", None, ((0.0, 0.0), (700.0, 0.0), (700.0, 9.0))),
        Assessment("", "MODIFIED", None, ((0.0, 0.0), (float("nan"), 0.0), (7.0, 9.0))),
        Assessment("", "MODIFIED", None, ((0.0, 0.0), (7.0, 0.0))),
        Assessment("", "PERHAPS"),  # type: ignore[arg-type]
    ],
)
def test_a_verdict_that_makes_no_sense_is_refused(said):
    ai = report()
    one = said if said.tracking_uid else Assessment(uids(ai)[1], said.verdict, said.class_id, said.region)
    with pytest.raises(ValueError, match=r"no finding|modified finding|is the AI's|no class|no verdict|a region"):
        verdict(ai, one)


def test_a_verdict_needs_something_to_say_a_person_and_an_ai_report():
    ai = report()
    accepted = Assessment(uids(ai)[0], "ACCEPTED")
    done = verdict(ai, accepted)
    with pytest.raises(ValueError, match="nothing is assessed"):
        verdict(ai)
    with pytest.raises(ValueError, match="twice"):
        verdict(ai, accepted, accepted)
    with pytest.raises(ValueError, match="is a verdict"):
        verdict(done, accepted)
    for name, organisation in (("", "X"), (" ^ ", "X"), ("A" * 65, "X"), ("A^B", ""), ("A^B", "X" * 65)):
        with pytest.raises(ValueError, match="a verdict needs"):
            verdict(ai, accepted, reader=Reader(name, organisation, READER.time))
    with pytest.raises(ValueError, match="not an AI report"):
        verdict(source(1), accepted)
    with pytest.raises(ValueError, match="does not name"):
        verdict(ai, missed=(Missed("1.2.3", None, "a_lines", TRIANGLE),))
    foreign = again(ai)
    foreign.Manufacturer = "somebody else"
    with pytest.raises(ValueError, match="another product"):
        verdict(foreign, accepted)


def test_our_own_verdict_is_never_analysed():
    ai = report()
    done = verdict(ai, Assessment(uids(ai)[0], "ACCEPTED"))
    assert Instance.of(done, "1.2.840.10008.1.2.1").barred == "not_ultrasound"


def test_a_uterus_report_is_assessed_alike():
    header = source(1)
    ai = build(uterus([header]), header)
    read = read_verdict(verdict(ai, Assessment(uids(ai)[1], "MODIFIED", "submucous_fibroid")), ai, zone=ZONE)
    (row,) = read.rows
    assert (row.class_id, row.probability, row.reader_class) == ("endometrial_polyp", 0.81, "submucous_fibroid")
    assert row.region is None, "the AI's outline stands"


_SAID = st.sampled_from(["ACCEPTED", "REJECTED", "MODIFIED", None])


@pytest.mark.verify
@seed(20261121)
@settings(max_examples=40, deadline=None)
@given(st.lists(_SAID, min_size=5, max_size=5), st.integers(0, 2), st.integers(0, 900))
def test_whatever_is_said_comes_back_and_nothing_else(words, n_missed, minutes):
    first, last = source(1, frames=30), source(2, frames=30)
    ai = build(lung([first, last]), first, last)
    said = [
        Assessment(uid, word, "consolidation" if word == "MODIFIED" else None)  # type: ignore[arg-type]
        for uid, word in zip(uids(ai), words, strict=False)
        if word
    ]
    missed = tuple(Missed(str(first.SOPInstanceUID), 3, "pleural_effusion", REGION) for _ in range(n_missed))
    if not said and not missed:
        return
    when = datetime(2026, 1, 3, tzinfo=UTC) + timedelta(minutes=minutes)
    reader = Reader("A^B", "C", when.astimezone(ZONE).replace(tzinfo=None).isoformat())
    read: VerdictDocument = read_verdict(again(verdict(ai, *said, missed=missed, reader=reader)), ai, zone=ZONE)
    assert {row.tracking_uid: row.verdict for row in read.rows if row.verdict != MISSED} == {
        one.tracking_uid: one.verdict for one in said
    }
    assert sum(row.verdict == MISSED for row in read.rows) == n_missed
    assert read.verified_at == when
