"""The engine as the store uses it: jobs commit with the ledger's rows, before any worker has ever run."""

import pytest
from sqlalchemy import insert, text

from dicom_ai import engine as jobs
from dicom_ai.ports import Job
from dicom_ai.store import tables
from dicom_ai.store.database import migrate, open_engine, read, write
from tests.ledger import START, place


@pytest.fixture
def ledger(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    opened = open_engine(url)
    migrate(opened)
    jobs.prepare(url)
    jobs.prepare(url)
    client = jobs.client(url)
    yield opened, client, jobs.enqueuer(client)
    client.destroy()
    opened.dispose()


WAITING = "SELECT workflow_uuid, status, name, queue_name, queue_partition_key FROM workflow_status ORDER BY 1"


def waiting(opened) -> list[tuple[object, ...]]:
    with read(opened) as connection:
        return [tuple(row) for row in connection.execute(text(WAITING))]


def test_jobs_exist_when_the_transaction_commits(ledger):
    opened, client, enqueue = ledger
    with write(opened) as connection:
        enqueue(connection, Job("settle", "settle:e1:0", "settle", ("e1",), delay_s=60))
        enqueue(connection, Job("deliver", "deliver:s1:pacs:1", "deliver", ("s1", "pacs", 1), partition="pacs"))
        assert waiting(opened) == []
    assert waiting(opened) == [
        ("deliver:s1:pacs:1", "ENQUEUED", "deliver", "deliver", "pacs"),
        ("settle:e1:0", "DELAYED", "settle", "settle", None),
    ]
    (found,) = client.list_workflows(workflow_ids=["deliver:s1:pacs:1"])
    assert tuple(found.input["args"]) == ("s1", "pacs", 1)


def test_jobs_vanish_with_a_transaction_that_fails(ledger):
    opened, _, enqueue = ledger
    study = {"id": "s1", "study_uid": "1.2", "first_at": START, "last_at": START}

    def failing() -> None:
        with write(opened) as connection:
            connection.execute(insert(tables.studies).values(study))
            enqueue(connection, Job("settle", "settle:e1:0", "settle", ("e1",)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert waiting(opened) == []


@pytest.mark.parametrize("together", [True, False])
def test_the_same_id_twice_is_one_job(ledger, together):
    opened, _, enqueue = ledger
    job = Job("settle", "settle:e1:0", "settle", ("e1",))
    if together:
        with write(opened) as connection:
            enqueue(connection, job)
            enqueue(connection, job)
    else:
        for _ in range(2):
            with write(opened) as connection:
                enqueue(connection, job)
    assert len(waiting(opened)) == 1


def test_arguments_are_json_and_the_journal_stays_wal(ledger):
    opened, _, enqueue = ledger
    with write(opened) as connection:
        enqueue(connection, Job("deliver", "d", "deliver", ("s1", "pacs", 1), partition="pacs"))
    with read(opened) as connection:
        stored = connection.execute(text("SELECT inputs FROM workflow_input")).scalar()
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    assert '"s1"' in stored


def test_a_kept_object_has_its_jobs_in_the_real_engine(tmp_path):
    here = place(tmp_path)
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    jobs.prepare(url)
    client = jobs.client(url)
    object.__setattr__(here.keeper, "enqueue", jobs.enqueuer(client))
    assert here.keeper.keep([here.spooled()])[0].status == 0
    assert {row[2] for row in waiting(here.engine)} == {"settle", "deliver"}
    client.destroy()
    here.engine.dispose()
