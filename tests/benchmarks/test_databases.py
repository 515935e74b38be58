"""SQLite and PostgreSQL as the ledger's database, interleaved; and what the history of ended jobs costs."""

import statistics
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import insert, text

from dicom_ai import engine as jobs
from dicom_ai.ports import Job
from dicom_ai.store import postgresql, tables
from dicom_ai.store.database import open_engine, write
from tests import databases
from tests.ledger import START, place
from tests.postgres import make_tables, shared

pytestmark = pytest.mark.benchmark

PAIRS, COMMITS, THREADS, BATCH = 9, 60, 4, 32


def commits_per_second(opened, run: int) -> float:
    """One row a transaction, by several writers."""

    def work(number: int) -> None:
        for index in range(COMMITS):
            with write(opened) as connection:
                uid = f"{run}.{number}.{index}"
                row = {"id": f"s{uid}", "study_uid": uid, "first_at": START, "last_at": START}
                connection.execute(insert(tables.studies).values(row))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return THREADS * COMMITS / (time.perf_counter() - began)


def interleaved(one: Callable[[int], float], other: Callable[[int], float]) -> tuple[list[float], list[float]]:
    for measure in (one, other):
        measure(10**6)
    return tuple(zip(*((one(run), other(run + 1000)) for run in range(PAIRS)), strict=True))


def said(values) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def test_commits(tmp_path, postgresql_url, figure, monkeypatch):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    make_tables(url)
    sqlite, server = open_engine(url), open_engine(postgresql_url)
    ours, theirs = interleaved(lambda run: commits_per_second(sqlite, run), lambda run: commits_per_second(server, run))

    def unserialised(run: int) -> float:
        with monkeypatch.context() as patch:
            patch.setattr(postgresql, "begin_writing", lambda _: None)
            return commits_per_second(server, 10**7 + run)

    free, locked = interleaved(unserialised, lambda run: commits_per_second(server, 2 * 10**7 + run))
    what = f"one-row commits/s, {THREADS} writers"
    figure(f"{what}: SQLite", f"{said(ours)}, {PAIRS} pairs")
    figure(f"{what}: PostgreSQL on this machine", f"{said(theirs)}, {PAIRS} pairs")
    ratios = [a / b for a, b in zip(locked, free, strict=True)]
    cost = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {PAIRS} pairs"
    figure("PostgreSQL with the writer's lock against without, commits/s", cost)
    sqlite.dispose()
    server.dispose()
    assert statistics.median(theirs) > 50


def test_objects_in_batches(tmp_path, postgresql_url, figure):
    databases.current.adopt(tmp_path / "b", postgresql_url)
    here, there = place(tmp_path / "a"), place(tmp_path / "b")

    def rate(one, run: int) -> float:
        batch = [one.spooled(run * 100 + number) for number in range(BATCH)]
        began = time.perf_counter()
        assert {receipt.status for receipt in one.keeper.keep(batch)} == {0}
        return BATCH / (time.perf_counter() - began)

    ours, theirs = interleaved(lambda run: rate(here, run), lambda run: rate(there, run))
    what = f"small objects/s made durable in batches of {BATCH}"
    figure(f"{what}: SQLite", f"{said(ours)}, {PAIRS} pairs", "100")
    figure(f"{what}: PostgreSQL on this machine", f"{said(theirs)}, {PAIRS} pairs", "100")
    assert statistics.median(theirs) > 100


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_the_list_of_waiting_jobs_beside_a_long_history(tmp_path, figure, kind):
    n_ended, n_waiting = 50_000, 100
    url = shared().new_database() if kind == "PostgreSQL" else f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    if kind == "SQLite":
        make_tables(url)
    opened, client = open_engine(url), jobs.client(url)
    with write(opened) as connection:
        for number in range(n_waiting):
            jobs.enqueuer(client)(connection, Job("deliver", f"w{number}", "deliver", ("s",), partition="p"))

    def elapsed_ms() -> float:
        began = time.perf_counter()
        assert len(jobs.jobs(client, "deliver")) == n_waiting
        return (time.perf_counter() - began) * 1000

    before = statistics.median(elapsed_ms() for _ in range(PAIRS))
    with write(opened) as connection:
        if kind == "PostgreSQL":
            connection.execute(text("SET LOCAL search_path = public, dbos"))
        names = "workflow_uuid, status, name, queue_name, created_at, updated_at, completed_at"
        ended = text(f"INSERT INTO workflow_status ({names}) VALUES (:id, 'SUCCESS', 'deliver', 'deliver', 1, 1, 1)")
        connection.execute(ended, [{"id": f"e{number}"} for number in range(n_ended)])
    after = statistics.median(elapsed_ms() for _ in range(PAIRS))
    began = time.perf_counter()
    assert jobs.tidy(client, START) == 500
    tidied = (time.perf_counter() - began) * 1000
    value = (
        f"{before:.1f} ms without, {after:.1f} ms with {n_ended} ended jobs; 500 of them forgotten in {tidied:.0f} ms"
    )
    figure(f"list of {n_waiting} waiting jobs, {kind}", value, "100 ms")
    client.destroy()
    opened.dispose()
    assert after < 100
