"""The plan of a folder: one run at a time, one question; what is gone is wanted again, what nobody knows is removed."""

import sqlite3
import stat
from datetime import date
from pathlib import Path

import pytest

from dicom_ai.archive.contents import Series
from dicom_ai.archive.filters import Filters
from dicom_ai.archive.pages import Listed
from dicom_ai.archive.plan import NAME, Plan
from dicom_ai.pulling_intake import Intake
from dicom_ai.report.header import part10
from dicom_ai.store.files import ObjectStore
from tests.pulled import DAYS, digests, lies_in, pull, studies
from train.collect_key import site_key
from train.collect_plan import Rules, Source, units_of
from train.labels import Reading

QUESTION = {"from": "PACS@192.0.2.7:104", "accessions": ["SECRET-4711"]}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A folder pulled from another one: four studies of two patients."""
    (tmp_path / "in").mkdir()
    for number, ds in enumerate(studies(4, 2)):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(part10(ds))
    assert pull(tmp_path / "out", *words(tmp_path))[0] == 0
    return tmp_path


def words(folder: Path) -> tuple[str, ...]:
    return "--folder", str(folder / "in"), *DAYS


def test_one_run_at_a_time(tmp_path: Path) -> None:
    first = Plan(tmp_path, QUESTION)
    with pytest.raises(ValueError, match="another run"):
        Plan(tmp_path, QUESTION)
    first.close()
    Plan(tmp_path, QUESTION).close()


def test_a_folder_answers_one_question(tmp_path: Path) -> None:
    Plan(tmp_path, QUESTION).close()
    with pytest.raises(ValueError, match="another question"):
        Plan(tmp_path, QUESTION | {"from": "elsewhere"})
    Plan(tmp_path, QUESTION).close()


def test_what_is_no_plan_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("something else, of somebody else" * 50)
    with pytest.raises(ValueError, match="no plan of ours"):
        Plan(tmp_path, QUESTION)
    assert (tmp_path / NAME).read_text().startswith("something else")


def test_the_plan_names_no_patient_and_no_accession_number(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "out", QUESTION)
    plan.list_studies([Listed("1.2.3", "PATIENT-0815")], [])
    assert plan.is_of("1.2.3", "PATIENT-0815")
    assert not plan.is_of("1.2.3", "PATIENT-0816")
    assert not plan.is_of("1.2.4", "PATIENT-0815")
    plan.close()
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert b"0815" not in content
    assert b"4711" not in content


def test_a_study_that_names_nobody_or_two_is_refused(tmp_path: Path) -> None:
    plan = Plan(tmp_path, QUESTION)
    plan.list_studies([Listed("1.2.3", ""), Listed("1.2.4", "P", is_one=False), Listed("1.2.5", "P")], [])
    assert plan.todo() == ["1.2.5"]
    assert {(one.study, one.word) for one in plan.refusals()} == {("1.2.3", "no_patient"), ("1.2.4", "mixed_patient")}
    plan.close()


def test_one_uid_in_two_studies_is_refused_in_the_second(tmp_path: Path) -> None:
    plan = Plan(tmp_path, QUESTION)
    plan.list_studies([Listed("1.2.3", "P"), Listed("1.2.4", "P")], [])
    for study in ("1.2.3", "1.2.4"):
        plan.open(study, [Series(study, f"{study}.1", {"1.9": ""}, is_all=True)], 0, [])
    assert [(one.study, one.word) for one in plan.refusals()] == [("1.2.4", "repeated")]
    assert plan.wanted("1.2.4") == []
    plan.close()


def test_folder_and_files_are_for_their_owner_alone(filled: Path) -> None:
    out = filled / "out"
    for path in (out, *out.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_an_object_that_is_gone_is_pulled_again_and_one_nobody_told_of_removed(filled: Path) -> None:
    out, truth = filled / "out", digests(studies(4, 2))
    gone = next((out / "store").rglob("*.dcm"))
    gone.unlink()
    other = out / "store" / "ff" / ("f" * 64 + ".dcm")
    other.write_bytes(b"came, and the run was killed before it was told")
    (out / "spool" / "x.part").write_bytes(b"half")
    assert pull(out, *words(filled))[0] == 0
    assert gone.is_file()
    assert not other.exists()
    assert lies_in(out) == truth


def test_what_comes_when_nobody_asks_is_refused(tmp_path: Path) -> None:
    plan = Plan(tmp_path, QUESTION)
    intake = Intake(plan, ObjectStore(tmp_path), Filters(date(2025, 1, 1), date(2025, 12, 31)))
    assert not intake.content(part10(studies(1, 1)[0]), "1.2.3")
    assert [(one.uid, one.word) for one in plan.refusals()] == [("1.2.3", "not_asked")]
    assert list((tmp_path / "store").rglob("*.dcm")) == []
    plan.close()


def test_collect_takes_the_folder_and_nothing_that_is_half_done(filled: Path) -> None:
    whole = next((filled / "out" / "store").rglob("*.dcm")).read_bytes()
    (filled / "out" / "spool" / "x.part").write_bytes(whole[: len(whole) // 2])
    rules = Rules(site_key(filled / "key", filled / "out"), Reading("lung-signs", {}, frozenset(), {}, None), False)
    units = units_of([Source("archive", filled / "out", None)], rules)
    assert sorted(unit.origin for unit in units) == sorted(digests(studies(4, 2)).values())
    assert len({unit.patient for unit in units}) == 2
    assert {unit.reason for unit in units} == {""}


def test_another_filter_needs_another_folder(filled: Path) -> None:
    from typer.testing import CliRunner

    from tests.pulled import app

    done = CliRunner().invoke(app, ["--out", str(filled / "out"), *words(filled), "--device", "GE*"])
    assert done.exit_code == 2
    assert "another question" in done.output.replace("\n", " ")


def test_a_plan_of_a_killed_run_can_be_read(filled: Path) -> None:
    with sqlite3.connect(filled / "out" / NAME) as plan:
        assert plan.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    plan.close()
