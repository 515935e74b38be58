"""Write transactions on both databases: one at a time, cut, hung or refused; an unknown outcome is resolved by key."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import event, func, insert, make_url, select, text

from dicom_ai.errors import LedgerUnavailable, SettingsError
from dicom_ai.instance import US_IMAGE
from dicom_ai.reasons import REASONS
from dicom_ai.store import postgresql, tables
from dicom_ai.store.database import insert_once, migrate, open_engine, read, write
from dicom_ai.store.site_id import SiteId, claim
from tests import databases
from tests.contract.relay import CuttingRelay
from tests.ledger import START, place
from tests.postgres import shared, started

N_THREADS = 6


@pytest.fixture
def ledger(database_url):
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


def study(name: str = "s1") -> dict[str, object]:
    return {"id": name, "study_uid": f"1.2.{name}", "first_at": START, "last_at": START}


def in_parallel(work: Callable[[int], None]) -> None:
    """Run in threads that start together; the first error is raised."""
    ready, errors = threading.Barrier(N_THREADS), []

    def run(number: int) -> None:
        try:
            ready.wait(20)
            work(number)
        except BaseException as exc:  # noqa: BLE001 - of a thread
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


def test_who_looks_before_inserting_inserts_once(ledger):
    inserted = []
    event.listen(ledger, "after_cursor_execute", lambda *_: time.sleep(0.003))  # between looking and inserting

    def work(_: int) -> None:
        for row in range(8):
            with write(ledger) as connection:
                inserted.append(insert_once(connection, tables.studies, {"id": f"s{row}"}, study(f"s{row}")))

    in_parallel(work)
    assert sum(inserted) == 8


def test_a_count_that_is_read_and_written_loses_nothing(ledger):
    with write(ledger) as connection:
        connection.execute(insert(tables.studies).values(study()))
        connection.execute(
            insert(tables.outbox).values(study="s1", destination="p", generation=0, is_open=False, due_at=START)
        )

    def work(_: int) -> None:
        for _ in range(5):
            with write(ledger) as connection:
                found = connection.scalar(select(tables.outbox.c.generation))
                connection.execute(tables.outbox.update().values(generation=found + 1))

    in_parallel(work)
    with read(ledger) as connection:
        assert connection.scalar(select(tables.outbox.c.generation)) == 5 * N_THREADS


def test_a_reader_has_one_view_and_no_writer_waits_for_it(ledger):
    with read(ledger) as reader:
        assert reader.scalar(select(func.count()).select_from(tables.studies)) == 0
        with write(ledger) as connection:
            connection.execute(insert(tables.studies).values(study()))
        assert reader.scalar(select(func.count()).select_from(tables.studies)) == 0
    with read(ledger) as reader:
        assert reader.scalar(select(func.count()).select_from(tables.studies)) == 1


def test_what_is_written_through_a_reader_is_not_kept(ledger):
    with read(ledger) as connection:
        connection.execute(insert(tables.studies).values(study()))
    with read(ledger) as connection:
        assert connection.execute(tables.studies.select()).all() == []


def test_a_ledger_has_one_data_folder(ledger):
    here, there = SiteId("1" * 32, "a" * 64), SiteId("2" * 32, "b" * 64)
    for _ in range(2):
        with write(ledger) as connection:
            claim(connection, here)
    with write(ledger) as connection, pytest.raises(SettingsError, match=r"store\.database_url"):
        claim(connection, there)


def test_every_word_and_number_fits_its_column(ledger):
    """PostgreSQL refuses what is longer than its column; SQLite takes anything."""
    assert max(map(len, REASONS)) <= tables.objects.c.reason.type.length
    with write(ledger) as connection:
        connection.execute(insert(tables.studies).values(study()))
        names = {"patient_id": "P", "patient_name": "N" * 400, "birth_date": "", "accession": ""}
        connection.execute(insert(tables.identity).values(id=1, study="s1", **names))
        values = {"sop_uid": "1" * 64, "sop_class": US_IMAGE, "transfer_syntax": "1.2", "size": 2**32 - 2}
        known = {"peer": "S" * 16, "called": "C" * 16, "received_at": START, "study": "s1", "identity": 1, "facts": {}}
        connection.execute(insert(tables.objects).values(digest="d" * 64, state="forwarded-only", **values, **known))
        assert connection.scalar(select(tables.objects.c.size)) == 2**32 - 2


@pytest.mark.databases
def test_a_batch_that_two_receivers_commit_at_once_is_kept_once(tmp_path):
    here, there = place(tmp_path / "here"), None
    databases.current.share(tmp_path / "there", tmp_path / "here")
    there = place(tmp_path / "there")
    statuses = []

    def work(number: int) -> None:
        keeper = (here, there)[number % 2]
        statuses.extend(receipt.status for receipt in keeper.keeper.keep([keeper.spooled(n) for n in range(4)]))

    in_parallel(work)
    assert set(statuses) == {0}
    assert len(here.rows(tables.objects)) == len(here.rows(tables.deliveries)) == len(here.rows(tables.members)) == 4
    assert len(here.rows(tables.sets)) == 1
    assert sorted(job.workflow for job in here.jobs.all()) == ["deliver", "settle"]


def test_a_cut_connection_is_said_and_the_next_transaction_has_a_new_one(postgresql_url):
    opened = open_engine(postgresql_url)

    def cut() -> None:
        with write(opened) as connection:
            connection.execute(insert(tables.studies).values(study()))
            process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            shared().execute(f"SELECT pg_terminate_backend({process}, 5000)")
            connection.execute(insert(tables.studies).values(study("s2")))

    with pytest.raises(LedgerUnavailable):
        cut()
    with write(opened) as connection:
        assert connection.scalar(select(func.count()).select_from(tables.studies)) == 0
    opened.dispose()


def test_a_writer_that_waits_too_long_says_so(postgresql_url, monkeypatch):
    opened = open_engine(postgresql_url)
    with write(opened):
        impatient = open_engine(postgresql_url)
        event.listen(
            impatient, "connect", lambda dbapi, _: dbapi.execute("SET lock_timeout = '50ms'") and dbapi.commit()
        )
        with pytest.raises(LedgerUnavailable, match="LockNotAvailable"), write(impatient):
            pass
        impatient.dispose()
    opened.dispose()


def test_a_writer_that_hangs_loses_its_transaction_and_the_others_go_on(postgresql_url):
    hanging, other = open_engine(postgresql_url), open_engine(postgresql_url)
    event.listen(
        hanging,
        "connect",
        lambda dbapi, _: dbapi.execute("SET idle_in_transaction_session_timeout = 100") and dbapi.commit(),
    )

    def hang() -> None:
        with write(hanging) as connection:
            connection.execute(insert(tables.studies).values(study()))
            with write(other) as another:  # waits until the server has ended the first one
                another.execute(insert(tables.studies).values(study("s2")))

    with pytest.raises(LedgerUnavailable):
        hang()
    with read(other) as connection:
        assert connection.scalars(select(tables.studies.c.id)).all() == ["s2"]
    hanging.dispose()
    other.dispose()


def test_a_server_that_may_lose_commits_is_refused():
    with started(fsync="off") as server:
        opened = open_engine(server.new_database(is_migrated=False))
        with pytest.raises(SettingsError, match="fsync = off"):
            migrate(opened)
        opened.dispose()


def test_a_commit_returns_when_it_is_durable_whatever_the_server_says(postgresql_url):
    opened = open_engine(postgresql_url)
    name = make_url(postgresql_url).database
    with write(opened) as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"))
    opened.dispose()
    with write(opened) as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == f"{postgresql.WAIT_S}s"
    opened.dispose()


def test_a_user_without_rights_is_told_what_to_do(postgresql_url):
    url = make_url(postgresql_url)
    opened = open_engine(postgresql_url)
    with write(opened) as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
        connection.exec_driver_sql("DROP ROLE IF EXISTS low")
        connection.exec_driver_sql("CREATE ROLE low LOGIN PASSWORD 'low'")
    opened.dispose()
    low = open_engine(url.set(username="low", password="low").render_as_string(hide_password=False))
    with pytest.raises(SettingsError, match="own the database"):
        migrate(low)
    low.dispose()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_object_whose_commit_was_cut_is_refused_and_kept_once_when_it_comes_again(tmp_path, postgresql_url, when):
    databases.current.adopt(tmp_path / "direct", postgresql_url)
    with CuttingRelay(postgresql_url, when) as relay:
        databases.current.adopt(tmp_path / "cut", relay.url)
        here = place(tmp_path / "cut")
        relay.armed.set()
        assert [receipt.status for receipt in here.keeper.keep([here.spooled()])] == [0xA700]
        n_there = 1 if when == "after" else 0
        assert len(place(tmp_path / "direct").rows(tables.objects)) == n_there
        assert [receipt.status for receipt in here.keeper.keep([here.spooled()])] == [0]
    found = place(tmp_path / "direct")
    assert len(found.rows(tables.objects)) == len(found.rows(tables.deliveries)) == 1
    assert sorted(job.workflow for job in found.jobs.all()) == ["deliver", "settle"]
