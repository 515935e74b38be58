"""The ledger's engine, its schema, the site's id and tables."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from dicom_ai.errors import DataFolderInUse, LedgerUnavailable, SettingsError
from dicom_ai.site import SiteTables
from dicom_ai.store import site_rows, tables
from dicom_ai.store.database import migrate, open_engine, read, write
from dicom_ai.store.site_id import hold, site_id
from tests.ledger import START, site

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(tmp_path):
    opened = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(opened)
    yield opened
    opened.dispose()


def study(name: str = "s1") -> dict[str, object]:
    return {"id": name, "study_uid": f"1.2.{name}", "first_at": START, "last_at": START}


def test_migrations_make_the_tables_of_the_code_and_may_be_repeated(engine):
    migrate(engine)
    with read(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_sqlite_is_durable_and_strict(engine):
    with read(engine) as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_writer_holds_the_lock_from_the_start_and_readers_do_not_wait(engine):
    with write(engine) as writer:
        writer.execute(insert(tables.studies).values(study()))
        with read(engine) as reader:
            assert reader.execute(tables.studies.select()).all() == []
    with read(engine) as reader:
        assert len(reader.execute(tables.studies.select()).all()) == 1


def test_two_writers_queue_up_instead_of_failing(engine):
    n_threads, n_rows = 4, 10

    def work(number: int) -> None:
        for index in range(n_rows):
            with write(engine) as connection:
                connection.execute(tables.studies.select()).all()  # a reader that becomes a writer fails when deferred
                connection.execute(insert(tables.studies).values(study(f"s{number}-{index}")))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with read(engine) as connection:
        assert len(connection.execute(tables.studies.select()).all()) == n_threads * n_rows


def test_an_error_rolls_back_and_tells_no_values(engine):
    def twice() -> None:
        with write(engine) as connection:
            connection.execute(insert(tables.studies).values(study("canary")))
            connection.execute(insert(tables.studies).values(study("canary")))

    with pytest.raises(IntegrityError) as failure:
        twice()
    assert "1.2.canary" not in str(failure.value)
    with read(engine) as connection:
        assert connection.execute(tables.studies.select()).all() == []


def test_what_is_written_through_a_reader_is_not_kept(engine):
    with read(engine) as connection:
        connection.execute(insert(tables.studies).values(study()))
    with read(engine) as connection:
        assert connection.execute(tables.studies.select()).all() == []


def test_a_damaged_or_missing_ledger_is_unavailable(tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerUnavailable):
        migrate(open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}"))
    with pytest.raises(LedgerUnavailable):
        migrate(open_engine(f"sqlite:///{tmp_path / 'nowhere' / 'ledger.sqlite'}"))


def test_times_come_back_aware(engine):
    with write(engine) as connection:
        connection.execute(insert(tables.studies).values(study()))
    with read(engine) as connection:
        assert connection.execute(tables.studies.select()).one().first_at == START


def test_the_site_id_is_made_once_and_is_ours_alone(tmp_path):
    first = site_id(tmp_path / "data")
    path = tmp_path / "data" / "site.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert site_id(tmp_path / "data") == first
    assert site_id(tmp_path / "other") != first
    assert first.namespace not in repr(first)
    assert sorted(json.loads(path.read_text())) == ["namespace", "schema_version", "store_id"]
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["site.json"]


def test_parallel_first_starts_agree(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(site_id(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(found)) == 1
    assert len(found) == 8


def test_a_damaged_site_id_is_never_replaced(tmp_path):
    (tmp_path / "site.json").write_text("{}")
    with pytest.raises(SettingsError):
        site_id(tmp_path)
    assert (tmp_path / "site.json").read_text() == "{}"


def test_study_ids_are_stable_short_and_tell_nothing(tmp_path):
    here, there = site_id(tmp_path / "here"), site_id(tmp_path / "there")
    assert here.study_id("1.2.3") == here.study_id("1.2.3")
    assert len({here.study_id("1.2.3"), here.study_id("1.2.4"), there.study_id("1.2.3")}) == 3
    assert len(here.study_id("1.2.3")) <= 32
    assert "1.2.3" not in here.study_id("1.2.3")


def test_the_data_folder_has_one_holder(tmp_path):
    command = "import sys, pathlib, dicom_ai.store.site_id as it\nwith it.hold(pathlib.Path(sys.argv[1])): pass"
    with hold(tmp_path):
        with pytest.raises(DataFolderInUse), hold(tmp_path):
            pass
        other = subprocess.run([sys.executable, "-c", command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
        assert "DataFolderInUse" in other.stderr
    with hold(tmp_path):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_site_tables_are_versioned_and_read_again_after_a_while(engine):
    now = [0.0]
    reader = site_rows.SiteReader(engine, ttl_s=2, monotonic=lambda: now[0])
    assert reader() == SiteTables()
    with write(engine) as connection:
        assert site_rows.apply(connection, site("pacs"), by="a person", now=START) == 1
        assert site_rows.apply(connection, site("pacs"), by="a person", now=START) == 1
    assert reader() == SiteTables()
    now[0] = 2.0
    assert reader() == site("pacs")
    with write(engine) as connection:
        assert site_rows.apply(connection, site(), by="a person", now=START) == 2
        assert site_rows.newest(connection) == site()


def test_nobody_else_may_read_the_ledger(tmp_path):
    tmp_path.chmod(0o755)  # a folder somebody else made
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    migrate(engine)
    with write(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE one (n INTEGER)")
        files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    engine.dispose()
    assert set(files) >= {"ledger.sqlite", "ledger.sqlite-wal"}
    assert set(files.values()) == {0o600}
