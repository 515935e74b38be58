"""Orders of archived studies: done in turns by the service's engine, one at a time, never while a live study waits."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dbos import DBOS

from dicom_ai import engine, workflow
from dicom_ai.cli import app
from dicom_ai.errors import SettingsError
from dicom_ai.ledger import Ledger
from dicom_ai.ports import Job
from dicom_ai.pull_orders import Order, Pulls, give_order, progress, read_order
from dicom_ai.settings import Settings, Store
from dicom_ai.site import SiteTables
from dicom_ai.store.database import migrate, open_engine, write
from tests.archives import archive
from tests.peers import free_port, orthanc
from tests.pulled import digests, lies_in, send, studies, study, ways
from tests.unit.test_archive_lying import CLASSES
from tests.workplace import QUICK, destination

pytestmark = pytest.mark.e2e
DAYS = {"since": "2025-01-06", "until": "2025-01-07"}


def now() -> datetime:
    return datetime.now(UTC)


class Service:
    """The ledger and the engine of a work process, without its analyses."""

    def __init__(self, data: Path) -> None:
        self.settings = Settings(store=Store(data=data, min_free_mib=0), deliver=QUICK)
        data.mkdir()
        self.opened = open_engine(self.settings.database_url)
        migrate(self.opened)
        engine.prepare(self.settings.database_url)
        self.client = engine.client(self.settings.database_url)
        self.ledger = Ledger(self.opened, engine.enqueuer(self.client), now)
        self.tables, self.is_busy = SiteTables(), False

    def pulls(self) -> Pulls:
        return Pulls(self.settings, self.ledger, lambda: self.tables, self.jobs)

    def jobs(self, workflow: str) -> dict[str, str]:
        return {"analyse:1": "1"} if self.is_busy and workflow == "analyse" else {}

    def launch(self, register: Callable[[], None]) -> None:
        engine.launch(self.settings.database_url, register, workers=2)

    def close(self) -> None:
        engine.stop(5)
        DBOS.destroy(destroy_registry=True)  # the next test has a workflow of the same name
        self.client.destroy()
        self.opened.dispose()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    one = Service(tmp_path / "data")
    try:
        yield one
    finally:
        one.close()


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_the_queue_holds_at_most_one_worker(service: Service) -> None:
    running, most, done, lock = 0, 0, [], threading.Lock()

    class Counting(Pulls):
        def turn(self, name: str, run: int, number: int) -> str:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.1)
            with lock:
                running -= 1
                done.append(name)
            return "done"

    counting = Counting(service.settings, service.ledger, SiteTables, service.jobs)
    with write(service.opened) as connection:
        for number in range(8):
            service.ledger.enqueue(connection, Job("pull", f"pull:{number}", "pull", (f"n{number}", 0, 0)))
    service.launch(lambda: workflow.register_pull(counting))
    wait_for(lambda: len(done) == 8)
    assert (sorted(done), most) == ([f"n{number}" for number in range(8)], 1)


def test_an_order_is_done_in_turns_and_not_while_a_live_study_waits(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_ai.pull_orders.BUSY_S", 0.2)
    monkeypatch.setattr("dicom_ai.pull_orders.TURN_S", 0.0)  # one study a turn
    held = [ds for number in range(3) for ds in study(number, 2)]
    service.is_busy = True
    with archive(*held, classes=CLASSES) as there:
        service.tables = SiteTables(destinations=(destination(there.port),))
        give_order(service.settings, service.ledger, "spring", Order(archive="pacs", **DAYS))
        service.launch(lambda: workflow.register_pull(service.pulls()))
        time.sleep(1.5)
        assert there.asked == [], "a live study waits"
        service.is_busy = False
        wait_for(lambda: [row["state"] for row in progress(service.settings.store.data)] == ["done"])
    (row,) = progress(service.settings.store.data)
    assert (row["name"], row["have"], row["wanted"], row["not_taken"]) == ("spring", len(held), 0, 0)
    assert lies_in(service.settings.store.data / "pulls" / "spring") == digests(held)


def test_an_archive_that_fails_is_asked_again_later(service: Service) -> None:
    service.tables = SiteTables(destinations=(destination(9),))
    give_order(service.settings, service.ledger, "spring", Order(archive="pacs", **DAYS))
    assert service.pulls().turn("spring", 1, 0) == "failed"
    (job,) = [one for one in service.client.list_workflows(name="pull") if one.workflow_id == "pull:spring:1:1"]
    assert job.status == "DELAYED"


def test_nothing_is_called_that_the_site_does_not_name(service: Service) -> None:
    with archive(*studies(1, 1), classes=CLASSES) as there:
        service.tables = SiteTables(destinations=(destination(there.port, name="other"),))
        give_order(service.settings, service.ledger, "spring", Order(archive="pacs", **DAYS))
        assert service.pulls().turn("spring", 1, 0) == "failed"
        assert there.asked == []


def test_an_order_is_for_its_owner_alone_and_is_not_replaced(service: Service) -> None:
    order = Order(archive="pacs", accessions=("A1",))
    give_order(service.settings, service.ledger, "one", order)
    give_order(service.settings, service.ledger, "one", order)
    assert read_order(service.settings.store.data, "one") == order
    assert (service.settings.store.data / "pulls" / "one" / "order.json").stat().st_mode & 0o077 == 0
    with pytest.raises(SettingsError, match="another order"):
        give_order(service.settings, service.ledger, "one", Order(archive="pacs", accessions=("A2",)))


def test_orders_that_cannot_be_carried_out(service: Service) -> None:
    for name in ("", "../x", "A", "a/b", "-", "a" * 41):
        with pytest.raises(SettingsError, match="called by"):
            give_order(service.settings, service.ledger, name, Order(archive="pacs", accessions=("A1",)))
    for words in ({}, {**DAYS, "between": "8-9"}, {**DAYS, "rate": "fast"}, {**DAYS, "receiver": "here"}):
        with pytest.raises(SettingsError):
            give_order(service.settings, service.ledger, "one", Order(archive="pacs", **words))
    assert progress(service.settings.store.data) == []


def test_the_commands(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from dicom_ai.store import site_rows

    with write(service.opened) as connection:
        at = SiteTables(destinations=(destination(9),))
        site_rows.apply(connection, at, by="test", now=now())
    data = ("--data", str(service.settings.store.data))
    words = ("--since", "2025-01-06", "--until", "2025-01-07", *data)
    done = CliRunner().invoke(app, ["archive", "pull", "spring", "--from", "pacs", *words])
    assert (done.exit_code, "ordered" in done.output) == (0, True), done.output
    unknown = CliRunner().invoke(app, ["archive", "pull", "autumn", "--from", "elsewhere", *words])
    assert isinstance(unknown.exception, SettingsError)
    listed = CliRunner().invoke(app, ["archive", "list", "--json", *data])
    assert [json.loads(line) for line in listed.stdout.splitlines()] == [{"name": "spring", "state": "ordered"}]


@pytest.mark.verify
@pytest.mark.timeout(300)
def test_the_running_service_carries_out_orders(tmp_path: Path) -> None:
    known, held, data = ways(), studies(12, 4), str(tmp_path / "data")
    days = ("--since", "2025-01-06", "--until", "2025-01-09")

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dicom_ai", *words, "--data", data], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc", **known.options) as pacs:
        send(pacs, held)
        words = f'name = "pacs"\nae_title = "{pacs.ae_title}"\nhost = "127.0.0.1"\nport = {pacs.port}\n'
        (tmp_path / "site.toml").write_text(f"[[destinations]]\n{words}")
        run("apply", str(tmp_path / "site.toml"))
        command = [sys.executable, "-m", "dicom_ai", "serve", "--data", data]
        environment = {**os.environ, "DICOM_AI_RECEIVE__PORT": str(free_port())}
        with (tmp_path / "log").open("w") as log:
            service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
        try:
            assert service.stdout is not None
            assert json.loads(service.stdout.readline())["ready"]
            run("archive", "pull", "by-get", "--from", "pacs", *days)
            run("archive", "pull", "by-move", "--from", "pacs", *days, "--move", f"DICOM_AI@127.0.0.1:{known.receiver}")
            wait_for(lambda: run("archive", "list", "--json").count('"done"') == 2)
        finally:
            service.terminate()
            service.wait(60)
            service.stdout.close()
    for name in ("by-get", "by-move"):
        assert lies_in(tmp_path / "data" / "pulls" / name) == digests(held)
    said = (tmp_path / "log").read_text()
    assert [str(ds.PatientID) for ds in held if str(ds.PatientID) in said or str(ds.AccessionNumber) in said] == []
