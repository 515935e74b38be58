"""`rules test` says what the receiver would do, and why, without what people typed; `rules list` says who did it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE

from dicom_ai.commands import rules
from dicom_ai.commands.rules import Question
from dicom_ai.errors import SettingsError
from dicom_ai.instance import US_IMAGE
from dicom_ai.receive.acceptor import PynetdicomAcceptor
from dicom_ai.receive.tables import accepted
from dicom_ai.service import put_into_force, task_of
from dicom_ai.settings import Model, Models, Receive, Settings, Store
from dicom_ai.site import Route, SiteTables
from dicom_ai.store import tables
from dicom_ai.store.committer import Committer
from tests.ledger import START, Place, place

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def dataset(number: int, **changes: str) -> Dataset:
    """A small ultrasound object; what it states is up to the test."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = US_IMAGE, f"2.25.77.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"2.25.78.{number}", f"2.25.79.{number}"
    ds.PatientName, ds.PatientID = "Doe^Secret", f"P{number}"
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = UID(ds.SOPClassUID)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def written(folder: Path, number: int, **changes: str) -> Path:
    path = folder / f"{number}.dcm"
    dataset(number, **changes).save_as(path, enforce_file_format=True)
    return path


def answers(capsys: pytest.CaptureFixture[str], question: Question, given_settings: Settings) -> list[dict[str, Any]]:
    capsys.readouterr()
    rules.test(question, given_settings, as_json=True)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def site_file(folder: Path, *routes: str) -> Path:
    path = folder / "site.toml"
    path.write_text("".join(f"[[routes]]\n{text}\n" for text in routes), encoding="utf-8")
    return path


class TestWhy:
    def test_every_row_is_answered_for(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = written(tmp_path, 1, ManufacturerModelName="LOGIQ E9", StudyDescription="lung of Doe")
        site = site_file(
            tmp_path,
            'task = "lung-signs"\nmodel = "EPIQ"\ncalling_ae = "E9"',
            'task = "uterine-lesions"\ndescription_contains = "uterus"',
            'task = "lung-signs"\ndescription_contains = "LUNG"',
            'task = "lung-signs"\nmodel = "logiq e9"',
        )
        (row,) = answers(capsys, Question((path,), "", None, site), Settings())
        assert (row["status"], row["task"], row["row"], row["reason"]) == ("matched", "lung-signs", 3, None)
        assert row["rows"] == [
            {
                "row": 1,
                "task": "lung-signs",
                "differences": [
                    {"field": "model", "wanted": "EPIQ", "found": "LOGIQ E9"},
                    {"field": "calling_ae", "wanted": "E9", "found": ""},
                ],
            },
            {
                "row": 2,
                "task": "uterine-lesions",
                "differences": [{"field": "description_contains", "wanted": "uterus", "found": None}],
            },
            {"row": 3, "task": "lung-signs", "differences": []},
            {"row": 4, "task": "lung-signs", "differences": []},
        ]

    def test_people_read_it_grouped_and_no_typed_text_is_shown(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for number in (1, 2):
            written(
                tmp_path, number, StudyDescription="Doe, bed 4", SeriesDescription="ask Dr. Roe", BodyPartExamined="LEG"
            )
        (tmp_path / "notes.txt").write_text("no DICOM")
        site = site_file(tmp_path, 'task = "lung-signs"\nbody_part = "LUNG"\ncalling_ae = "E9"', 'task = "lung-signs"')
        (tmp_path / "site.toml").rename(tmp_path.parent / "site.toml")
        site = tmp_path.parent / "site.toml"
        assert rules.test(Question((tmp_path,), "", None, site), Settings(), as_json=False) == 1
        out = capsys.readouterr()
        assert out.out.count("lung-signs by row 2") == 1, "two files, one answer"
        assert "not row 1 (lung-signs): body_part is 'LEG', not 'LUNG'; calling_ae is empty, not 'E9'" in out.out
        assert "unreadable" in out.out
        assert not any(typed in out.out + out.err for typed in ("Doe", "Roe", "bed 4"))
        assert "row 2 (lung-signs) states no field" in out.err

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"SOPClassUID": SECONDARY_CAPTURE}, "not_ultrasound"),
            ({"Manufacturer": "dicom-ai", "ImageType": "DERIVED\\SECONDARY"}, "own_result"),
            ({"BodyPartExamined": "LEG"}, "no_task"),
        ],
    )
    def test_what_no_row_takes_has_a_reason_and_is_no_failure(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], reason: str
    ) -> None:
        path = written(tmp_path, 1, **changes)
        site = site_file(tmp_path, 'task = "lung-signs"\nbody_part = "LUNG"')
        question = Question((path,), "", None, site)
        (row,) = answers(capsys, question, Settings())
        assert (row["status"], row["task"], row["row"], row["reason"]) == ("unmatched", None, None, reason)
        assert rules.test(question, Settings(), as_json=False) == 0

    def test_a_task_that_is_switched_off_is_said(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path, site = written(tmp_path, 1), site_file(tmp_path, 'task = "lung-signs"')
        off = Settings(models=Models(lung_signs=Model(enabled=False)))
        (row,) = answers(capsys, Question((path,), "", None, site), off)
        assert (row["status"], row["reason"]) == ("matched", "disabled")

    def test_without_a_ledger_the_remedy_is_named(self, tmp_path: Path) -> None:
        path = written(tmp_path, 1)
        with pytest.raises(SettingsError, match="dicom-ai apply"):
            rules.test(Question((path,), "", None, None), Settings(store=Store(data=tmp_path / "d")), as_json=True)


class TestList:
    def test_the_version_in_force_with_who_and_when(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        here = place(tmp_path)
        known = Settings(store=Store(data=tmp_path))
        assert rules.show(known, as_json=True) == 0
        said = capsys.readouterr()
        assert said.out == ""
        assert "dicom-ai apply" in said.err
        for body_part in ("LEG", "LUNG"):
            routes = (Route(task="lung-signs", body_part=body_part), Route(task="uterine-lesions"))
            put_into_force(SiteTables(routes=routes), "ana", known, START)
        assert rules.show(known, as_json=True) == 0
        said = capsys.readouterr()
        assert [json.loads(line) for line in said.out.splitlines()] == [
            {"version": 2, "by": "ana", "at": START.isoformat(), "row": 1, "task": "lung-signs",
             "wants": {"body_part": "LUNG"}},
            {"version": 2, "by": "ana", "at": START.isoformat(), "row": 2, "task": "uterine-lesions", "wants": {}},
        ]  # fmt: skip
        assert "row 2 (uterine-lesions) states no field" in said.err
        assert rules.show(known, as_json=False) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "Version 2, put into force by ana at 2026-03-01 12:00:00 UTC" in said
        here.engine.dispose()


@contextmanager
def receiver(folder: Path, in_force: list[SiteTables]) -> Iterator[tuple[Place, int]]:
    """The receiver as the service builds it, its routes those that stand in `in_force` at the moment."""
    here = place(folder, task=lambda instance, calling, called: task_of(in_force[0], instance, calling, called))
    committer = Committer(here.keeper, wait_ms=0, batch=32)
    acceptor = PynetdicomAcceptor(
        Receive(port=0), lambda: accepted(False), authorise=lambda *_: True, keep=committer.keep, notices=committer,
        spool=here.files.new_spool,
    )  # fmt: skip
    yield here, acceptor.start()
    acceptor.drain(1.0)
    committer.stop()
    here.engine.dispose()


TEXTS = st.sampled_from(["", "LUNG", "lung ", "Thorax", "左肺 LUNG", "a\\b", "GE"])
FIELDS = ("manufacturer", "model", "body_part", "procedure_code", "calling_ae", "called_ae", "description_contains")
FACTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("Manufacturer", "ManufacturerModelName", "StudyDescription", "SeriesDescription"), TEXTS),
        "BodyPartExamined": st.sampled_from(["", "LUNG", "GE"]),
    },
)
TITLES = st.sampled_from(["LUNG", "GE", "lung"])


def _routes() -> st.SearchStrategy[SiteTables]:
    row = st.fixed_dictionaries(
        {"task": st.sampled_from(["lung-signs", "uterine-lesions"])}, optional=dict.fromkeys(FIELDS, TEXTS)
    ).filter(lambda values: len(values) <= 4)
    return st.lists(row, max_size=4).map(lambda rows: SiteTables.model_validate({"routes": rows}))


def _only(**fields: str) -> SiteTables:
    return SiteTables.model_validate({"routes": [{"task": "lung-signs", **fields}]})


def test_it_agrees_with_what_the_receiver_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_force, numbers = [SiteTables()], iter(range(1, 1_000_000))

    with receiver(tmp_path, in_force) as (here, port):

        @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(
            site=_routes(),
            facts=FACTS,
            code=TEXTS,
            calling=TITLES,
        )
        @example(site=_only(calling_ae="GE"), facts={}, code="", calling="GE")
        @example(site=_only(calling_ae="GE"), facts={}, code="", calling="LUNG")
        @example(site=_only(called_ae="DICOM_AI"), facts={}, code="", calling="GE")
        @example(site=_only(called_ae="GE"), facts={}, code="", calling="GE")
        @example(site=_only(procedure_code="GE"), facts={}, code="GE", calling="GE")
        @example(
            site=_only(description_contains="lung"), facts={"SeriesDescription": "左肺 LUNG"}, code="", calling="GE"
        )
        def agree(site: SiteTables, facts: dict[str, str], code: str, calling: str) -> None:
            in_force[0] = site
            ds = dataset(next(numbers), **facts, SpecificCharacterSet="ISO_IR 192")
            item = Dataset()
            item.CodeValue = code
            ds.ProcedureCodeSequence = [item]
            ae = AE(ae_title=calling)
            ae.add_requested_context(US_IMAGE, ExplicitVRLittleEndian)
            association = ae.associate("127.0.0.1", port, ae_title="DICOM_AI")
            assert association.is_established
            assert association.send_c_store(ds).Status == 0x0000
            association.release()
            path = tmp_path / "one.dcm"
            ds.save_as(path, enforce_file_format=True)
            known = Settings(store=Store(data=tmp_path))
            put_into_force(site, "test", known, START)
            (answer,) = answers(capsys, Question((path,), calling, "DICOM_AI", None), known)
            tasks = [row.task for row in here.rows(tables.sets) if row.study == f"s-{ds.StudyInstanceUID}"]
            assert tasks == ([answer["task"]] if answer["row"] else [])

        agree()
