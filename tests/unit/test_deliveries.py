"""`deliveries list` says what waits and why; `deliveries retry` sends it again, and never what is held."""

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from dicom_ai import engine
from dicom_ai.commands import deliveries
from dicom_ai.errors import SettingsError
from dicom_ai.service import prepare, put_into_force
from dicom_ai.settings import Settings, Store
from dicom_ai.store import outages, tables
from dicom_ai.store.database import write
from dicom_ai.store.overview import Wanted
from tests.ledger import START, Place, place, site

pytestmark = pytest.mark.databases("verify")

ANY = Wanted()
LATER = START + timedelta(minutes=10)


@pytest.fixture(scope="module")
def tables_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger file with the engine's tables, which take their time."""
    folder = tmp_path_factory.mktemp("made")
    prepare(Settings(store=Store(data=folder)))
    return folder / "ledger.sqlite"


@pytest.fixture
def here(tmp_path: Path, tables_made: Path) -> Place:
    """Six deliveries of two studies: one for each state, and two that a retry must leave alone for good."""
    shutil.copy(tables_made, tmp_path)
    here = place(tmp_path, tables=site("pacs", "gone"))
    put_into_force(site("pacs"), "test", settings(here), START)
    for number, study in ((1, "1.2.9"), (2, "1.2.8"), (3, "1.2.8")):
        here.keeper.keep([here.spooled(number, study_instance_uid=study)])
    ends: list[dict[str, Any]] = [
        {"state": "dead", "reason": "attempts_spent", "last_status": "0xA700", "attempts": 9},  # 1 to pacs
        {"state": "dead", "reason": "attempts_spent"},  # 2 to gone
        {"state": "held", "reason": "not_released"},  # 3 to pacs
        {"state": "dead", "reason": "superseded"},  # 4 to gone
        {"state": "queued", "next_at": LATER, "attempts": 3},  # 5 to pacs
        {"state": "sent"},  # 6 to gone
    ]
    with write(here.engine) as connection:
        for number, values in enumerate(ends, start=1):
            connection.execute(update(tables.deliveries).where(tables.deliveries.c.id == number).values(**values))
        connection.execute(update(tables.outbox).values(is_open=True, due_at=LATER))
        connection.execute(insert(tables.outages).values(destination="pacs", since=START, attempts=3, next_at=LATER))
    return here


def settings(here: Place) -> Settings:
    return Settings(store=Store(data=here.data, database_url=url(here)))


def url(here: Place) -> str:
    return here.engine.url.render_as_string(hide_password=False)


def listed(here: Place, capsys: pytest.CaptureFixture[str], wanted: Wanted = ANY) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert deliveries.list_deliveries(wanted, settings(here), START, limit=0, as_json=True) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def retried(here: Place, capsys: pytest.CaptureFixture[str], wanted: Wanted) -> tuple[int, str, str, set[int]]:
    """Exit code, what was said, and the deliveries that are due now."""
    capsys.readouterr()
    code = deliveries.retry(wanted, settings(here), by="me", clock=lambda: START)
    said = capsys.readouterr()
    due = {row.id for row in here.rows(tables.deliveries) if row.state == "queued" and row.next_at is None}
    return code, said.out, said.err, due


def test_rows_say_state_reason_status_and_next_time(here: Place, capsys: pytest.CaptureFixture[str]) -> None:
    by_id = {row["id"]: row for row in listed(here, capsys)}
    assert list(by_id) == [6, 5, 4, 3, 2, 1]
    dead = {"state": "dead", "reason": "attempts_spent", "last_status": "0xA700", "attempts": 9, "destination": "pacs"}
    assert by_id[1].items() >= dead.items()
    assert (by_id[5]["state"], by_id[5]["next_at"]) == ("queued", LATER.isoformat())
    deliveries.list_deliveries(Wanted(), settings(here), START, limit=2, as_json=False)
    said = capsys.readouterr()
    assert "in 10 min" in said.out
    assert "the newest 2 of 6" in said.err


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(states=("dead",)), {1, 2, 4}),
        (Wanted(states=("held", "queued")), {3, 5}),
        (Wanted(study="s-1.2.9"), {1, 2}),
        (Wanted(study="s-1.2"), {1, 2, 3, 4, 5, 6}),
        (Wanted(study="s_1.2"), set()),
        (Wanted(destination="pacs", states=("dead",)), {1}),
        (Wanted(destination="elsewhere"), set()),
    ],
)
def test_rows_are_chosen(here: Place, capsys: pytest.CaptureFixture[str], wanted: Wanted, ids: set[int]) -> None:
    assert {row["id"] for row in listed(here, capsys, wanted)} == ids


def test_a_state_nobody_knows_is_a_usage_error(here: Place) -> None:
    with pytest.raises(SettingsError, match="confirmed"):
        deliveries.list_deliveries(Wanted(states=("lost",)), settings(here), START, limit=0, as_json=True)


@pytest.mark.parametrize(
    ("wanted", "code", "due"),
    [
        (Wanted(states=("dead",)), 0, {1}),  # --all-dead: not what waits, what is over for good, or whose PACS is gone
        (Wanted(destination="pacs"), 0, {1, 5}),
        (Wanted(study="s-1.2.9"), 0, {1}),
        (Wanted(ids=(1, 5)), 0, {1, 5}),
        (Wanted(ids=(3,)), 1, set()),
        (Wanted(ids=(2,)), 1, set()),
        (Wanted(ids=(4,)), 1, set()),
        (Wanted(ids=(6,)), 1, set()),
        (Wanted(ids=(1, 99)), 1, {1}),
    ],
)
def test_what_was_given_up_or_waits_is_due_now_with_a_job(
    here: Place, capsys: pytest.CaptureFixture[str], wanted: Wanted, code: int, due: set[int]
) -> None:
    held = [row for row in here.rows(tables.deliveries) if row.id not in {1, 5}]
    found = retried(here, capsys, wanted)
    assert (found[0], found[3]) == (code, due)
    client = engine.client(url(here))
    studies = {row.study for row in here.rows(tables.deliveries) if row.id in due}
    assert set(engine.jobs(client, "deliver").values()) == studies
    client.destroy()
    assert [row for row in here.rows(tables.deliveries) if row.id not in {1, 5}] == held
    if due:
        with here.engine.connect() as connection:
            assert outages.closed_until(connection, "pacs", START) is None
    by_id = {row.id: row for row in here.rows(tables.deliveries)}
    assert by_id[1].attempts == (0 if 1 in due else 9)
    assert by_id[5].attempts == 3, "what waited goes on counting"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (2, "destination gone is not in the site file in force"),
        (3, "dicom-ai deliveries release"),
        (4, "over for good"),
        (6, "it was sent already"),
        (99, "no such delivery"),
    ],
)
def test_what_cannot_be_sent_again_is_told_with_what_to_do(
    here: Place, capsys: pytest.CaptureFixture[str], number: int, told: str
) -> None:
    code, out, err, _ = retried(here, capsys, Wanted(ids=(number,)))
    assert code == 1
    assert out == "sent once more now: 0 that were given up, 0 that waited\n"
    assert err.startswith(f"not {number}: ")
    assert told in err


def test_what_is_held_is_told_where_it_was_not_named(here: Place, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err, _ = retried(here, capsys, Wanted(destination="pacs"))
    assert code == 0
    assert "1 stay held" in err


def test_everything_at_once_is_not_retried_by_accident(here: Place) -> None:
    with pytest.raises(SettingsError, match="--all-dead"):
        deliveries.retry(Wanted(), settings(here), by="me", clock=lambda: START)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "now"), (0, "now"), (20, "in 20 s"), (600, "in 10 min"), (9000, "in 2 h"), (3e5, "in 3 d")],
)
def test_waits_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert deliveries.wait(START + timedelta(seconds=seconds), START) == said
    assert deliveries.wait(None, START) == ""
