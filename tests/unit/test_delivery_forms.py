"""Which form of a result reaches which destination: one study, PACS of every kind on real sockets."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicom_ai.deliver.negotiate import REPORT_FORMS
from dicom_ai.report.checklist.judge import complaints, set_complaints
from dicom_ai.report.pages import PAGE_TYPE
from dicom_ai.simulate.pacs import Manners, SimulatedPacs
from dicom_ai.site import SiteTables
from dicom_ai.store import outbox, tables
from dicom_ai.store.database import write
from tests.forms import answer, formed, kept, stored_source
from tests.workplace import Received, Workplace, destination, pacs

C3D, COMPREHENSIVE, ENHANCED, TEXT, PAGE, PDF = REPORT_FORMS
CLIP = "1.2.840.10008.5.1.4.1.1.7.4"


def refusing(*classes: str) -> tuple[str, ...]:
    return tuple(f"refuse:{one}" for one in classes)


PEERS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "takes everything": ((), C3D),
    "no 3D SR": (refusing(C3D), COMPREHENSIVE),
    "Enhanced SR only": (refusing(C3D, COMPREHENSIVE, TEXT, PDF), ENHANCED),
    "no SR but text": (refusing(*REPORT_FORMS[:3], PDF), TEXT),
    "no SR": (refusing(*REPORT_FORMS[:4], PDF), PAGE),
    "documents only": (refusing(*REPORT_FORMS[:5], CLIP), PDF),
    "originals only": (refusing(*REPORT_FORMS, CLIP), None),
    "no clips": (refusing(CLIP), C3D),
    "answers 0x0122": ((f"status:0122:{C3D}",), COMPREHENSIVE),
    "answers A900": (tuple(f"status:A900:{one}" for one in (C3D, COMPREHENSIVE, ENHANCED)), TEXT),
    "answers C000": (tuple(f"status:C000:{one}" for one in (*REPORT_FORMS[:4], CLIP)), PAGE),
    "answers A9FF to all": (tuple(f"status:A9FF:{one}" for one in (*REPORT_FORMS, CLIP)), None),
}
"""Name -> manners, and the form in which the report must arrive."""


@dataclass
class Answered:
    """One study that was analysed once and delivered to every peer once."""

    work: Workplace
    clip: Dataset
    peers: dict[str, Received] = field(default_factory=dict)

    def report(self, name: str) -> Dataset | None:
        """The report that a peer has; more than one is a defect."""
        found = [ds for ds in self.objects(name) if is_report(ds)]
        assert len(found) <= 1
        return found[0] if found else None

    def objects(self, name: str) -> list[Dataset]:
        return kept(self.peers[name])


def is_report(ds: Dataset) -> bool:
    is_page = ds.SOPClassUID == PAGE and PAGE_TYPE in ds.ImageType
    return ds.SOPClassUID in (*REPORT_FORMS[:4], PDF) or is_page


def is_still_of_clip(ds: Dataset) -> bool:
    return bool(ds.SOPClassUID == PAGE and "ReferencedFrameNumber" in ds.SourceImageSequence[0])


def referenced(report: Dataset) -> set[str]:
    """Every instance a report refers to but its predecessors."""
    evidence = report.get("CurrentRequestedProcedureEvidenceSequence") or []
    series = [one for study in evidence for one in study.ReferencedSeriesSequence]
    found = {str(item.ReferencedSOPInstanceUID) for one in series for item in one.ReferencedSOPSequence}
    for keyword in ("SourceImageSequence", "SourceInstanceSequence"):
        found |= {str(item.ReferencedSOPInstanceUID) for item in report.get(keyword) or []}
    return found


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    folder = tmp_path_factory.mktemp("forms")
    clip, still = stored_source(1, frames=3), stored_source(2)
    work = formed(folder, *(destination(1, name) for name in PEERS))
    answer(work, clip, still)
    peers = {}
    for number, (name, (manners, _)) in enumerate(PEERS.items()):
        with pacs(folder / f"peer-{number}", *manners) as peers[name]:
            work.site = SiteTables(destinations=(destination(peers[name].port, name),))
            work.deliver(name)
    return Answered(work, clip, peers)


@pytest.mark.parametrize("name", PEERS)
def test_every_destination_gets_exactly_one_right_form_or_an_alarm(answered: Answered, name: str) -> None:
    wanted = PEERS[name][1]
    report = answered.report(name)
    assert (report.SOPClassUID if report is not None else None) == wanted
    (row,) = answered.work.deliveries("report", name)
    forms = {one.uid: one.sop_class for one in answered.work.rows(tables.results)}
    if wanted is None:
        assert (row.state, row.reason, row.result) == ("dead", "class_refused", None)
        alarms = [one for one in answered.work.rows(tables.alarms) if one.delivery == row.id]
        assert [(one.reason, one.state) for one in alarms] == [("class_refused", "open")]
    else:
        assert report is not None
        assert (row.state, row.result) == ("sent", report.SOPInstanceUID)
        assert forms[row.result] == wanted


def test_a_form_is_made_once_for_all_destinations_that_get_it(answered: Answered) -> None:
    made = [row for row in answered.work.rows(tables.results) if row.kind == "report"]
    assert len({row.uid for row in made}) == len(made)
    assert {row.sop_class for row in made} == set(REPORT_FORMS)
    wire = {row["digest"] for peer in answered.peers.values() for row in peer.rows}
    assert {row.digest for row in made} <= wire
    # one more of a class only where other captures lie: without the clip, or with no capture at all
    by_class = {form: [row.uid for row in made if row.sop_class == form] for form in REPORT_FORMS}
    assert len(by_class[PAGE]) == len(by_class[PDF]) == 1
    assert len(by_class[C3D]) <= 3


@pytest.mark.parametrize("name", PEERS)
def test_a_report_refers_to_nothing_that_is_not_there(answered: Answered, name: str) -> None:
    report = answered.report(name)
    there = {str(ds.SOPInstanceUID) for ds in answered.objects(name)}
    assert report is None or referenced(report) <= there


@pytest.mark.parametrize("name", ["no clips", "answers C000"])
def test_a_refused_clip_becomes_stills_of_its_key_frames(answered: Answered, name: str) -> None:
    stills = [ds for ds in answered.objects(name) if is_still_of_clip(ds)]
    assert stills
    assert {ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in stills} == {answered.clip.SOPInstanceUID}
    assert not [ds for ds in answered.objects(name) if ds.SOPClassUID == CLIP]
    states = {(row.state, row.reason) for row in answered.work.deliveries("capture", name)}
    assert states == {("sent", None), ("dead", "other_form")}
    dead = {row.id for row in answered.work.deliveries("capture", name) if row.state == "dead"}
    assert not dead & {row.delivery for row in answered.work.rows(tables.alarms)}
    whole = next(ds for ds in answered.objects("takes everything") if ds.SOPClassUID == CLIP)
    for ds in stills:
        number = ds.SourceImageSequence[0].ReferencedFrameNumber
        at = list(whole.SourceImageSequence[0].ReferencedFrameNumber).index(number)
        assert (ds.pixel_array == whole.pixel_array[at]).mean() > 0.99  # two decoders of the same JPEG


def test_the_report_beside_stills_shows_them(answered: Answered) -> None:
    report, whole = answered.report("no clips"), answered.report("takes everything")
    assert report is not None
    assert whole is not None
    stills = {str(ds.SOPInstanceUID) for ds in answered.objects("no clips") if is_still_of_clip(ds)}
    assert stills <= referenced(report)
    assert report.SOPInstanceUID != whole.SOPInstanceUID


@pytest.mark.parametrize("name", PEERS)
def test_our_own_list_has_nothing_to_say_of_any_form(answered: Answered, name: str) -> None:
    everything = answered.objects(name)
    ours = [ds for ds in everything if ds.Manufacturer == "dicom-ai"]
    assert [line.line() for ds in ours for line in complaints(ds, everything)] == []
    assert [line.line() for line in set_complaints(everything)] == []


def test_another_try_begins_with_the_best_form(answered: Answered, tmp_path: Path) -> None:
    work, name = answered.work, "originals only"
    (row,) = work.deliveries("report", name)
    with pacs(tmp_path / "mended") as peer:
        work.site = SiteTables(destinations=(destination(peer.port, name),))
        with write(work.here.engine) as connection:
            revived = outbox.revive(connection, [row.id], now=work.here.clock(), enqueue=work.here.jobs)
        work.deliver(name)
    assert revived == (row.id,)
    assert [one["sop_class"] for one in peer.rows] == [C3D]
    alarms = [one.state for one in work.rows(tables.alarms) if one.delivery == row.id]
    assert alarms == ["over"]


def predecessors(report: Dataset) -> list[tuple[str, str]]:
    named = report.get("PredecessorDocumentsSequence") or []
    series = [one for item in named for one in item.ReferencedSeriesSequence]
    items = [item for one in series for item in one.ReferencedSOPSequence]
    return [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in items]


def test_a_lost_connection_repeats_the_form_and_its_bytes(tmp_path: Path) -> None:
    sent: list[dict[str, Any]] = []
    manners = Manners(refused=frozenset(REPORT_FORMS[:3]))

    def tell(row: dict[str, Any]) -> None:
        sent.append(row)
        if row["sop_class"] == TEXT:
            doomed.stop()  # it has the report, and nobody will ever know

    doomed = SimulatedPacs(tmp_path / "doomed", clock=lambda: datetime.now(UTC), tell=tell, manners=manners)
    work = formed(tmp_path, destination(doomed.start()))
    answer(work, stored_source(1))
    work.deliver()
    (row,) = work.deliveries("report")
    assert (row.state, sent[-1]["sop_class"]) == ("queued", TEXT)
    with pacs(tmp_path / "again") as peer:  # it takes better forms by now
        work.site = SiteTables(destinations=(destination(peer.port),))
        work.here.clock.forward(200)
        work.deliver()
    last = sent[-1]
    assert [(one["sop_class"], one["sop_uid"], one["digest"]) for one in peer.rows] == [
        (TEXT, last["sop_uid"], last["digest"])
    ]


def test_a_revision_follows_the_form_that_its_destination_has(tmp_path: Path) -> None:
    first, second, third = (stored_source(number) for number in (1, 2, 3))
    text_only = refusing(*REPORT_FORMS[:3])
    with pacs(tmp_path / "whole") as whole, pacs(tmp_path / "text", *text_only) as text:
        work = formed(tmp_path, destination(whole.port, "whole"), destination(text.port, "text"))
        for fresh, before in ((first, ()), (second, (first,)), (third, (first, second))):
            answer(work, fresh, before=before)
            work.deliver("whole")
            work.deliver("text")
    for peer, form in ((whole, C3D), (text, TEXT)):
        reports = sorted((ds for ds in kept(peer) if ds.SOPClassUID == form), key=lambda ds: ds.InstanceNumber)
        assert [ds.InstanceNumber for ds in reports] == [1, 2, 3]
        chain = [(), *(((form, str(ds.SOPInstanceUID)),) for ds in reports[:-1])]
        assert [tuple(predecessors(ds)) for ds in reports] == chain


def test_a_destination_that_learns_a_better_form_is_told_what_it_has(tmp_path: Path) -> None:
    first, second = stored_source(1), stored_source(2)
    with pacs(tmp_path / "before", *refusing(C3D, COMPREHENSIVE)) as before:
        work = formed(tmp_path, destination(before.port))
        answer(work, first)
        work.deliver()
    with pacs(tmp_path / "after") as after:
        work.site = SiteTables(destinations=(destination(after.port),))
        answer(work, second, before=(first,))
        work.deliver()
    (old,) = [ds for ds in kept(before) if is_report(ds)]
    (new,) = [ds for ds in kept(after) if is_report(ds)]
    assert (old.SOPClassUID, new.SOPClassUID) == (ENHANCED, C3D)
    assert predecessors(new) == [(ENHANCED, str(old.SOPInstanceUID))]


def test_a_document_of_a_revision_is_one_of_its_own_and_no_document_names_a_pdf(tmp_path: Path) -> None:
    first, second, third = (stored_source(number) for number in (1, 2, 3))
    with pacs(tmp_path / "pdf", *refusing(*REPORT_FORMS[:5], CLIP)) as peer:
        work = formed(tmp_path, destination(peer.port))
        answer(work, first)
        work.deliver()
        answer(work, second, before=(first,))
        work.deliver()
    documents = sorted((ds for ds in kept(peer) if ds.SOPClassUID == PDF), key=lambda ds: ds.InstanceNumber)
    assert [ds.InstanceNumber for ds in documents] == [1, 2]
    assert len({ds.SOPInstanceUID for ds in documents}) == 2
    with pacs(tmp_path / "text", *refusing(*REPORT_FORMS[:3])) as peer:
        work.site = SiteTables(destinations=(destination(peer.port),))
        answer(work, third, before=(first, second))
        work.deliver()
    (text,) = [ds for ds in kept(peer) if ds.SOPClassUID == TEXT]
    assert predecessors(text) == []


def test_a_clip_refused_after_its_report_has_gone_is_told_to_a_person(tmp_path: Path) -> None:
    with pacs(tmp_path / "unwell", f"status:A700:{CLIP}") as unwell:
        work = formed(tmp_path, destination(unwell.port))
        answer(work, stored_source(1, frames=2))
        work.deliver()
    assert {(row.kind, row.state) for row in work.deliveries() if row.kind != "source"} == {
        ("capture", "queued"),
        ("report", "sent"),
    }
    with pacs(tmp_path / "again", *refusing(CLIP)) as peer:
        work.site = SiteTables(destinations=(destination(peer.port),))
        work.here.clock.forward(200)
        work.deliver()
    assert {row["sop_class"] for row in peer.rows} == {PAGE}
    (row,) = [row for row in work.deliveries("capture") if row.state == "dead"]
    assert [one.reason for one in work.rows(tables.alarms) if one.delivery == row.id] == ["class_refused"]


def test_stills_that_were_dropped_go_later_and_nothing_goes_twice(tmp_path: Path) -> None:
    with pacs(tmp_path / "unwell", *refusing(CLIP), f"status:A700:{PAGE}") as unwell:
        work = formed(tmp_path, destination(unwell.port))
        answer(work, stored_source(1, frames=2))
        work.deliver()
    first = {(row["sop_uid"], row["digest"]) for row in unwell.rows if row["sop_class"] == PAGE}
    with pacs(tmp_path / "well") as well:
        work.site = SiteTables(destinations=(destination(well.port),))
        work.here.clock.forward(200)
        work.deliver()
    assert {(row["sop_uid"], row["digest"]) for row in well.rows} == first
    assert len(first) == len(well.rows) == 2
