"""The engine as the store uses it: jobs commit with the ledger's rows, before any worker has ever run."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, text

from dicom_ai import engine as jobs
from dicom_ai.ports import Job
from dicom_ai.store import tables
from dicom_ai.store.database import open_engine, read, write
from tests.databases import url_of
from tests.ledger import START, place


@pytest.fixture
def ledger(database_url):
    opened = open_engine(database_url)
    client = jobs.client(database_url)
    yield opened, client, jobs.enqueuer(client)
    client.destroy()
    opened.dispose()


WAITING = "SELECT workflow_uuid, status, name, queue_name, queue_partition_key FROM workflow_status ORDER BY 1"


def see_engine(connection) -> None:
    """The engine's tables lie in a schema of their own on PostgreSQL."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL search_path = public, dbos"))


def waiting(opened) -> list[tuple[object, ...]]:
    with read(opened) as connection:
        see_engine(connection)
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
        see_engine(connection)
        stored = connection.execute(text("SELECT inputs FROM workflow_input")).scalar()
        if connection.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    assert '"s1"' in stored


@pytest.mark.databases
def test_a_kept_object_has_its_jobs_in_the_real_engine(tmp_path):
    here = place(tmp_path)
    url = url_of(tmp_path)
    jobs.prepare(url)
    client = jobs.client(url)
    object.__setattr__(here.keeper, "enqueue", jobs.enqueuer(client))
    assert here.keeper.keep([here.spooled()])[0].status == 0
    assert {row[2] for row in waiting(here.engine)} == {"settle", "deliver"}
    client.destroy()


def begin(ledger, job: str, **row: object) -> None:
    """A job as a worker that died left it."""
    opened, _, enqueue = ledger
    with write(opened) as connection:
        enqueue(connection, Job("deliver", job, "deliver", (job, "pacs", 1), partition="pacs"))
    change(opened, job, **({"status": "PENDING", "executor_id": "dead-0", "application_version": "1"} | row))


def change(opened, job: str, **row: object) -> None:
    with write(opened) as connection:
        see_engine(connection)
        columns = ", ".join(f"{name} = :{name}" for name in row)
        connection.execute(
            text(f"UPDATE workflow_status SET {columns} WHERE workflow_uuid = :job"), {"job": job, **row}
        )


def test_the_jobs_of_a_dead_worker_go_back_to_their_queue(ledger):
    opened, client, _ = ledger
    begin(ledger, "j1", recovery_attempts=1)
    begin(ledger, "j2", executor_id="alive-0")
    assert jobs.running(client) == {"dead-0", "alive-0"}
    assert jobs.take_over(client, "dead-0") == 1
    assert jobs.running(client) == {"alive-0"}
    assert waiting(opened)[0] == ("j1", "ENQUEUED", "deliver", "deliver", "pacs")
    assert jobs.take_over(client, "dead-0") == 0


def test_a_job_that_kills_one_worker_after_another_is_given_up(ledger):
    opened, client, _ = ledger
    begin(ledger, "bad", recovery_attempts=1)
    n_starts = 1
    while jobs.take_over(client, "dead-0") and jobs.poison(client, "deliver") == {}:
        n_starts += 1
        assert n_starts < 100
        change(opened, "bad", status="PENDING", executor_id="dead-0", application_version="1", recovery_attempts=1)
    assert n_starts == jobs.MAX_RECOVERIES + 1
    assert jobs.poison(client, "deliver") == {"bad": "bad"}
    assert jobs.jobs(client, "deliver") == {}


@pytest.mark.parametrize("by", ["its own worker", "another one"])
def test_what_another_version_began_is_cancelled_so_that_it_is_found_without_a_job(ledger, by):
    _, client, _ = ledger
    begin(ledger, "old", application_version="0")
    begin(ledger, "new")
    assert set(jobs.jobs(client, "deliver")) == {"old", "new"}
    assert (jobs.retire if by == "its own worker" else jobs.take_over)(client, "dead-0") >= 1
    assert set(jobs.jobs(client, "deliver")) == {"new"}
    assert jobs.poison(client, "deliver") == {}


def test_ended_jobs_are_forgotten_after_a_week_and_no_others(ledger):
    _, client, _ = ledger
    old, recent = (int((START - age).timestamp() * 1000) for age in (timedelta(days=8), timedelta(days=6)))
    begin(ledger, "old", status="SUCCESS", completed_at=old)
    begin(ledger, "failed", status="ERROR", completed_at=old)
    begin(ledger, "recent", status="SUCCESS", completed_at=recent)
    begin(ledger, "running", created_at=old)
    assert jobs.tidy(client, START) == 2
    assert {one.workflow_id for one in client.list_workflows()} == {"recent", "running"}
    assert jobs.tidy(client, START) == 0
