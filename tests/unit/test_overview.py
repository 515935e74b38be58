"""`studies` and `alarms` tell what stands in the ledger: a study step by step, its patient only if asked."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import torch

from dicom_ai.commands import overview
from dicom_ai.commands.overview import Choice
from dicom_ai.crop.cropper import Cropper
from dicom_ai.errors import SettingsError
from dicom_ai.settings import Settings
from dicom_ai.site import SiteTables
from dicom_ai.store import alarms, events, tables
from dicom_ai.store.database import write
from tests.ledger import START
from tests.workplace import Workplace, destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)
ALL = Choice(None, None, 0)


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture
def here(tmp_path: Path, cropper: Cropper) -> Workplace:
    tables = SiteTables(destinations=(destination(1), destination(2, "clinic", forward="none", test=False)))
    return workplace(tmp_path / "data", cropper, [tiny(tmp_path / "model")], site=tables)


def listed(capsys: pytest.CaptureFixture[str], settings: Settings, choice: Choice = ALL) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert overview.list_studies(choice, settings, START, as_json=True) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def shown(capsys: pytest.CaptureFixture[str], settings: Settings, study: str, *, who: bool) -> tuple[str, str]:
    """What `studies show` prints for programs and for people."""
    capsys.readouterr()
    overview.show_study(study, settings, with_identity=who, as_json=True)
    rows = capsys.readouterr().out
    overview.show_study(study, settings, with_identity=who, as_json=False)
    return rows, capsys.readouterr().out


def test_a_study_is_followed_from_its_first_object_to_its_delivery(
    tmp_path: Path, here: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(capsys, here.settings) == []
    study = lung()
    here.receive(*study)
    (row,) = listed(capsys, here.settings)
    assert (row["state"], row["objects"], row["first_at"]) == ("receiving", {"stored": 2}, START.isoformat())
    assert row["deliveries"] == {"pacs": {"queued": 2}}

    set_id = here.closed_set()
    (row,) = listed(capsys, here.settings)
    assert row["state"] == "analysing"
    assert [(one["set"], one["task"], one["revision"], one["objects"]) for one in row["sets"]] == [
        (set_id, "lung-signs", 1, 2)
    ]

    here.analyse(set_id)
    (row,) = listed(capsys, here.settings)
    assert row["state"] == "held", "the tiny model is a demonstration and the clinic is no test"
    assert row["deliveries"] == {"clinic": {"held": 3}, "pacs": {"queued": 5}}
    (said,) = row["sets"]
    assert said["grade"] == "demonstration"
    assert {one["class"]: one["state"] for one in said["findings"]} == {"a_lines": "present", "b_lines": "absent"}

    with pacs(tmp_path / "pacs") as peer:
        here.site = SiteTables(destinations=(destination(peer.port),))
        here.deliver()
    assert listed(capsys, here.settings)[0]["deliveries"]["pacs"] == {"sent": 5}
    with write(here.here.engine) as connection:
        alarms.raise_alarm(connection, "peer_failed", START, study=row["study"])
    (row,) = listed(capsys, here.settings)
    assert (row["state"], row["alarms"]) == ("attention", {"peer_failed": 1})

    overview.list_studies(ALL, here.settings, START, as_json=False)
    out = capsys.readouterr().out
    assert "lung-signs: a_lines" in out
    assert row["study"][:10] in out


def test_the_story_of_a_study_is_in_order_and_names_the_patient_only_if_asked(
    here: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    study = list(lung())
    here.answered(*study)
    other = lung(seed=6)
    here.receive(*other)
    (newest, oldest) = (row["study"] for row in listed(capsys, here.settings))
    secrets = {str(study[0].PatientName), str(study[0].PatientID), str(study[0].AccessionNumber)}

    rows, table = shown(capsys, here.settings, oldest[:10], who=False)
    assert not any(secret in rows + table for secret in secrets)
    parts = [json.loads(line) for line in rows.splitlines()]
    events = [one for one in parts if one["row"] == "event"]
    kinds = [one["kind"] for one in events]
    assert kinds[:4] == ["received", "received", "settled", "analysed"]
    assert [one["at"] for one in events] == sorted(one["at"] for one in events)
    assert {one["study"] for one in parts if one["row"] == "delivery"} == {oldest}
    assert parts[0]["row"] == "study"
    assert "2 objects until" in table
    assert newest not in rows + table

    rows, table = shown(capsys, here.settings, oldest, who=True)
    assert all(secret in text for secret in secrets for text in (rows, table))


def test_a_study_that_is_not_there_or_not_the_only_one_is_a_usage_error(here: Workplace) -> None:
    for seed in (5, 6):
        here.receive(*lung(seed=seed))
    with pytest.raises(SettingsError, match="no study's id begins"):
        overview.show_study("zzz", here.settings, with_identity=False, as_json=True)
    with pytest.raises(SettingsError, match="2 studies' ids"):
        overview.show_study("s", here.settings, with_identity=False, as_json=True)
    with pytest.raises(SettingsError, match="no study's id begins"):
        overview.show_study("s_", here.settings, with_identity=False, as_json=True)


def test_studies_are_chosen_by_time_state_and_number(here: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    here.receive(*lung(seed=5))
    here.here.clock.forward(7200)
    here.receive(*lung(seed=6))
    now = START + timedelta(hours=2)
    capsys.readouterr()
    for choice, count in (
        (Choice("1h", None, 0), 1),
        (Choice("3h", None, 0), 2),
        (Choice("2026-03-01T13:00", None, 0), 1),
        (Choice(None, "receiving", 0), 2),
        (Choice(None, "done", 0), 0),
        (Choice(None, None, 1), 1),
    ):
        overview.list_studies(choice, here.settings, now, as_json=True)
        said = capsys.readouterr()
        assert len(said.out.splitlines()) == count, choice
        assert ("--limit 0" in said.err) == (choice.limit == 1)
    for choice in (Choice("yesterday", None, 0), Choice(None, "lost", 0), Choice("99999999999999d", None, 0)):
        with pytest.raises(SettingsError):
            overview.list_studies(choice, here.settings, now, as_json=True)


def test_alarms_of_one_reason_are_one_block_and_a_story_counts_what_repeats(
    here: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    here.receive(*lung())
    study = here.rows(tables.studies)[0].id
    with write(here.here.engine) as connection:
        for row in here.deliveries():
            alarms.raise_alarm(connection, "peer_failed", START, study=study, delivery=row.id)
            ids = {"delivery": row.id, "kind": "source", "reason": "peer_failed"}
            events.add(connection, START, "undelivered", ids)
    overview.list_alarms(here.settings, everything=False, as_json=False)
    out = capsys.readouterr().out
    assert out.count("dicom-ai deliveries retry") == 1
    assert f"study {study[:10]}: delivery 1, delivery 2" in out
    _, table = shown(capsys, here.settings, study, who=False)
    assert "2 times until 2026-03-01 12:00:00, peer_failed" in table
    assert "alarm" not in table.split("What happened")[1].split("Deliveries")[0]


def test_a_time_without_zone_is_that_of_the_site() -> None:
    found = overview.moment("2026-11-20", START, ZoneInfo("Asia/Shanghai"))
    assert found == datetime(2026, 11, 19, 16, 0, tzinfo=UTC)


def test_alarms_say_what_to_do_and_end(here: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    overview.list_alarms(here.settings, everything=False, as_json=False)
    assert capsys.readouterr().out == "no open alarm\n"
    here.receive(*lung())
    study = here.rows(tables.studies)[0].id
    with write(here.here.engine) as connection:
        alarms.raise_alarm(connection, "identity_conflict", START, study=study)
    overview.list_alarms(here.settings, everything=False, as_json=True)
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["reason"], row["study"], row["state"], row["at"]) == (
        "identity_conflict", study, "open", START.isoformat(),
    )  # fmt: skip
    assert "dicom-ai conflicts resolve" in row["remedy"]
    overview.list_alarms(here.settings, everything=False, as_json=False)
    assert "dicom-ai conflicts resolve" in capsys.readouterr().out
    with write(here.here.engine) as connection:
        alarms.end_alarms(connection, START, study=study)
    for everything, count in ((False, 0), (True, 1)):
        overview.list_alarms(here.settings, everything=everything, as_json=True)
        assert len(capsys.readouterr().out.splitlines()) == count
