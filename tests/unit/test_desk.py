"""Commands look into a ledger that is there and never make one; what they enqueue commits with their rows."""

from pathlib import Path

import pytest
from sqlalchemy import text

from dicom_ai import engine
from dicom_ai.commands import desk
from dicom_ai.errors import LedgerUnavailable, SettingsError
from dicom_ai.ports import Job
from dicom_ai.service import prepare
from dicom_ai.settings import Settings, Store
from dicom_ai.store.database import open_engine, write
from tests.ledger import START


def settings(data: Path) -> Settings:
    return Settings(store=Store(data=data))


def test_a_ledger_that_is_not_there_is_named_with_its_remedy_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"dicom-ai serve"), desk.reading(settings(tmp_path / "data")):
        pass
    assert not (tmp_path / "data").exists()


def test_a_ledger_without_tables_or_of_another_version_is_named(tmp_path: Path) -> None:
    opened = open_engine(settings(tmp_path).database_url)
    opened.connect().close()
    with pytest.raises(SettingsError, match="no tables"), desk.reading(settings(tmp_path)):
        pass
    prepare(settings(tmp_path))
    with write(opened) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="9999"), desk.reading(settings(tmp_path)):
        pass


def test_a_damaged_ledger_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database " * 1000)
    with pytest.raises(LedgerUnavailable), desk.reading(settings(tmp_path)):
        pass


def test_what_is_enqueued_commits_with_the_rows_or_not_at_all(tmp_path: Path) -> None:
    prepare(settings(tmp_path))
    with desk.acting(settings(tmp_path), lambda: START) as at:
        with at.engine.connect() as connection, connection.begin() as begun:
            at.enqueue(connection, Job("settle", "lost", "settle", ("s",)))
            begun.rollback()
        with write(at.engine) as connection:
            at.enqueue(connection, Job("settle", "kept", "settle", ("s",)))
        client = engine.client(settings(tmp_path).database_url)
        assert engine.jobs(client, "settle") == {"kept": "s"}
        client.destroy()
