"""From quarantine to a new report: looked at, approved by one or two people, cropped, sent to the PACS; or not."""

import copy
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from pydicom.dataset import Dataset
from sqlalchemy import Engine

from dicom_ai import service
from dicom_ai.approved import approved
from dicom_ai.classify.catalogue import Installed
from dicom_ai.commands import layouts as catalogue
from dicom_ai.commands import quarantine
from dicom_ai.commands.desk import approved_there
from dicom_ai.commands.layouts import Choice
from dicom_ai.commands.quarantine import Wish
from dicom_ai.errors import SettingsError
from dicom_ai.settings import Crop, Settings, Site, Store
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.patients import patient_of
from dicom_ai.site import SiteTables
from dicom_ai.store import tables
from dicom_ai.store.database import open_engine
from dicom_ai.store.layouts import SamePerson
from dicom_ai.store.quarantine import NotWaiting
from tests.workplace import Received, Workplace, destination, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)

NAME = "QUARANTINED"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"), (0.999, 0.999))


def objects(n: int = 2, *, of: int = 1) -> list[Dataset]:
    """Stills of one patient and device whose screens state no region from the object `of` on."""
    patient = replace(patient_of(7), name=NAME)
    made = list(exam("lung", seed=7, patient=patient, content=(Shot(frozenset({"b_lines"})),) * n))
    for ds in made[of - 1 :]:
        del ds.SequenceOfUltrasoundRegions
    return made


def twin(ds: Dataset) -> Dataset:
    """The same still as another object of its study."""
    other = copy.deepcopy(ds)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.9"
    return other


@dataclass
class Ward:
    """A service's data folder, its settings and the PACS it sends to."""

    work: Workplace
    settings: Settings
    peer: Received

    @property
    def waiting(self) -> list[str]:
        """Digests in quarantine."""
        return [row.digest for row in self.work.rows(tables.objects) if row.state == "quarantined"]

    def approve(self, target: str, by: str = "Ana", **changes: Any) -> int:
        values = {"keep": (), "source": "support", "is_any_software": False, "note": ""} | changes
        return catalogue.approve(Choice(target=target, by=by, **values), self.settings, self.work.here.clock)

    def again(self) -> str:
        """What the service does with the revision that was opened."""
        key = self.work.analyse(self.work.closed_set())
        self.work.deliver()
        return key


class Shared:
    """A decoding child for all tests, which knows the approvals of the ledger of the test that runs."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.cropper = small_cropper(layouts=lambda: approved(self.engine) if self.engine is not None else ())


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    one = Shared()
    with one.cropper:
        yield one


@pytest.fixture
def ward(tmp_path: Path, model: Installed, shared: Shared, request: pytest.FixtureRequest) -> Iterator[Ward]:
    approvals = getattr(request, "param", 1)
    settings = Settings(store=Store(data=tmp_path / "data"), crop=Crop(approvals=approvals))
    service.prepare(settings)
    shared.engine = open_engine(settings.database_url)
    table = SiteTables.model_validate({"routes": [{"task": "lung-signs"}]})
    with pacs(tmp_path / "pacs") as peer:
        site = table.model_copy(update={"destinations": (destination(peer.port, forward="none"),)})
        work = workplace(tmp_path / "data", shared.cropper, [model], site=site)
        service.put_into_force(site, "me", settings, work.here.clock())
        yield Ward(work, settings, peer)
    shared.engine.dispose()
    shared.engine = None


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """JSON rows among the log lines of the workplace."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def predecessor(report: Dataset) -> str:
    (replaced,) = report.PredecessorDocumentsSequence
    (named,) = (item for series in replaced.ReferencedSeriesSequence for item in series.ReferencedSOPSequence)
    return str(named.ReferencedSOPInstanceUID)


def test_a_screen_without_a_region_is_approved_and_its_study_answered_anew(
    ward: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two stills of one depth and one of another, which a second polygon of the same device lets through later."""
    work = ward.work
    still, other = objects()
    first = work.answered(still, twin(still))
    work.deliver()
    assert {(row.state, row.reason) for row in work.rows(tables.objects)} == {("quarantined", "no_regions")}
    assert quarantine.list_quarantine(None, "logiqe9", ward.settings, as_json=True) == 0
    listed = rows(capsys)
    assert [row["object"] for row in listed] == sorted(ward.waiting)
    assert {(row["reason"], row["approvable"], row["frames"]) for row in listed} == {("no_regions", True, 1)}
    assert ward.approve(ward.waiting[0][:10], by="Ana") == 0
    said = capsys.readouterr().out
    assert "L1: " in said
    assert all(digest[:12] in said for digest in ward.waiting)
    assert NAME not in said
    assert work.rows(tables.crops) == []
    second = ward.again()
    assert second != first
    assert {(row.state, row.reason) for row in work.rows(tables.objects)} == {("analysed", None)}
    assert {row.votes["layout"] for row in work.rows(tables.crops)} == {"L1"}
    before, after = ward.peer.reports()
    assert predecessor(after) == str(before.SOPInstanceUID)
    assert [row.revision for row in work.rows(tables.sets)] == [1, 2]
    work.answered(other)
    assert [row.reason for row in work.rows(tables.objects) if row.state == "quarantined"] == ["layout_disagrees"]
    assert ward.approve(ward.waiting[0]) == 0
    ward.again()
    assert {row.state for row in work.rows(tables.objects)} == {"analysed"}
    assert sorted(row.votes["layout"] for row in work.rows(tables.crops)) == ["L1", "L1", "L2"]


@pytest.mark.parametrize("ward", [2], indirect=True)
def test_with_two_people_nothing_moves_before_the_second(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    work = ward.work
    work.answered(*objects(1))
    digest = ward.waiting[0]
    assert ward.approve(digest, by="Ana") == 0
    assert "second person" in capsys.readouterr().out
    assert [row.revision for row in work.rows(tables.sets)] == [1]
    with pytest.raises(SamePerson):
        ward.approve("L1", by=" ana ", source=None)
    assert len(work.rows(tables.crops)) == 1
    assert ward.approve("L1", by="Bo", source=None) == 0
    ward.again()
    assert {row.state for row in work.rows(tables.objects)} == {"analysed"}
    capsys.readouterr()
    assert catalogue.list_layouts(ward.settings, everything=False, as_json=True) == 0
    (row,) = rows(capsys)
    assert (row["id"], row["state"], row["proposed_by"], row["approved_by"]) == ("L1", "approved", "Ana", "Bo")
    assert row["evidence"] == digest


def test_a_withdrawn_layout_helps_nobody_and_names_whom_it_helped(
    ward: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    work = ward.work
    work.answered(*objects(1))
    ward.approve(ward.waiting[0])
    ward.again()
    capsys.readouterr()
    assert [one.name for one in approved_there(ward.settings)] == ["L1"]  # for commands over files
    assert approved_there(Settings(store=Store(data=ward.work.here.data / "none"))) == ()
    assert catalogue.withdraw("L1", ward.settings, by="Bo", clock=work.here.clock) == 0
    (study,) = {row.study for row in work.rows(tables.objects)}
    assert f"studies again {study}" in capsys.readouterr().out
    assert approved_there(ward.settings) == ()
    assert {row.state for row in work.rows(tables.objects)} == {"analysed"}  # nothing changes by itself
    other = twin(objects(1)[0])
    other.StudyInstanceUID = f"{other.StudyInstanceUID}.9"
    work.answered(other)
    assert [row.reason for row in work.rows(tables.objects) if row.state == "quarantined"] == ["no_regions"]


def test_what_is_discarded_is_left_alone_by_every_later_look(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    work = ward.work
    sound, blind = objects(2, of=2)
    work.answered(sound, blind)
    (digest,) = ward.waiting
    assert quarantine.discard(digest[:9], ward.settings, by="Ana", why="test", clock=work.here.clock) == 0
    assert "stays stored" in capsys.readouterr().out
    with pytest.raises(NotWaiting):
        quarantine.discard(digest, ward.settings, by="Bo", why="", clock=work.here.clock)
    assert ward.approve(digest) == 1
    assert "no keep polygon helps against discarded" in capsys.readouterr().err
    assert work.rows(tables.layouts) == []
    late = objects(3)[2]
    work.answered(late)
    state = {row.digest: (row.state, row.reason) for row in work.rows(tables.objects)}
    assert state[digest] == ("quarantined", "discarded")


def test_what_no_polygon_changes_is_not_approved(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    work = ward.work
    work.answered(*objects(1))
    digest = ward.waiting[0]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"source": None}, "say what is kept"),
        ({"source": "support", "keep": ("1,1 5,5 9,1",)}, "say what is kept"),
        ({"source": None, "keep": ("1,1 5,5",)}, "3 to"),
        ({"source": None, "keep": ("a b c",)}, "no polygon"),
        ({"source": None, "keep": ("0,0 1164,0 1164,800 0,800",)}, "published entry GE LOGIQE9"),
        ({"source": "region"}, "no polygon"),
    ]
    for changes, said in cases:
        with pytest.raises(SettingsError, match=said):
            ward.approve(digest, **changes)
    beside = ("10,300 200,300 200,700 10,700",)  # where the picture is not
    assert ward.approve(digest, source=None, keep=beside) == 1
    assert "nothing was entered: with this polygon the crop says" in capsys.readouterr().err
    for wrong in ("ffff", "", "L7"):
        with pytest.raises(SettingsError):
            ward.approve(wrong, source=None)
    assert work.rows(tables.layouts) == []
    assert [row.revision for row in work.rows(tables.sets)] == [1]


def test_the_votes_are_told_and_drawn_without_the_patient(
    ward: Ward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = ward.work
    ds = objects(1, of=2)[0]
    ds.SequenceOfUltrasoundRegions[0].RegionLocationMaxX1 //= 2
    work.answered(ds)
    settings = ward.settings.model_copy(update={"site": Site(language="zh")})
    png, whole = tmp_path / "look.png", tmp_path / "whole.png"
    whole.write_bytes(b"")
    whole.chmod(0o644)
    capsys.readouterr()  # what the service logged, where another test of this process turned logging on
    assert quarantine.show(Wish(ward.waiting[0][:8], png, is_whole=False), settings, as_json=False) == 0
    said = capsys.readouterr()
    assert "inside 0." in said.out
    assert "声明区域" in said.out
    assert "MISSED (at least" in said.out
    assert said.err == ""
    assert quarantine.show(Wish(ward.waiting[0], whole, is_whole=True), settings, as_json=True) == 0
    told = capsys.readouterr()
    assert "shows who the patient is" in told.err
    (row,) = (json.loads(line) for line in told.out.splitlines() if line.startswith("{"))
    assert (row["reason"], row["now"], len(row["support"])) == ("witnesses_disagree", "witnesses_disagree", 1)
    assert NAME not in said.out + told.out
    assert {stat.S_IMODE(path.stat().st_mode) for path in (png, whole)} == {0o600}
    shown, full = (cv2.imread(str(path)) for path in (png, whole))
    assert shown is not None
    assert full is not None
    assert len({int(value) for value in shown[:96].ravel()}) <= 8
    assert len({int(value) for value in full[:96].ravel()}) > 8


def test_pixels_that_cannot_be_decoded_are_not_drawn(ward: Ward, tmp_path: Path) -> None:
    ds = objects(1, of=2)[0]
    ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]
    ward.work.answered(ds)
    png = tmp_path / "look.png"
    assert quarantine.show(Wish(ward.waiting[0], png, is_whole=False), ward.settings, as_json=True) == 1
    assert not png.exists()
    with pytest.raises(SettingsError, match="--png"):
        quarantine.show(Wish(ward.waiting[0], None, is_whole=True), ward.settings, as_json=True)


def test_a_cropper_without_a_supplier_knows_no_approval() -> None:
    with small_cropper() as cropper:
        assert tuple(cropper.approved()) == ()
