"""Steps of workflows: errors are answers, foreign texts stay out of the engine's tables, the last step is patient."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS

from dicom_ai import engine
from dicom_ai.errors import After, NonFiniteOutput, ResourceError
from dicom_ai.ports import Job
from dicom_ai.store.database import migrate, open_engine, write

SECRET = "Canary^Zebra"


class Running:
    """An engine with one workflow that does what it is told."""

    def __init__(self, folder: Path) -> None:
        self.ledger = folder / "ledger.sqlite"
        self.url = f"sqlite:///{self.ledger}"
        self.act: Callable[[], Any] = lambda: None
        self.met: list[engine.StepFailed] = []

    def register(self) -> None:
        @DBOS.workflow(name="told")
        def told(how: str) -> Any:
            run = engine.last_step if how == "last" else engine.step
            try:
                return run("act", self.act)
            except engine.StepFailed as failure:
                self.met.append(failure)
                raise

    def start(self, how: str, act: Callable[[], Any]) -> Any:
        self.act = act
        client, opened = engine.client(self.url), open_engine(self.url)
        try:
            with write(opened) as connection:
                engine.enqueuer(client)(connection, Job("told", f"job-{how}", "settle", (how,)))
            return DBOS.retrieve_workflow(f"job-{how}").get_result()
        finally:
            client.destroy()
            opened.dispose()

    def everything(self) -> str:
        """All text of all tables."""
        with closing(sqlite3.connect(self.ledger)) as ledger:
            return "\n".join(ledger.iterdump())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path)
    opened = open_engine(one.url)
    migrate(opened)
    opened.dispose()
    engine.prepare(one.url)
    engine.launch(one.url, one.register, workers=1)
    yield one
    DBOS.destroy(destroy_registry=True)


def fail(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_a_step_gives_what_was_made(running: Running) -> None:
    assert running.start("step", lambda: {"count": 3}) == {"count": 3}


@pytest.mark.parametrize(
    ("error", "name", "after", "reason"),
    [
        (ResourceError("disk"), "ResourceError", After.RETRY, "store_failed"),
        (NonFiniteOutput("frame 3"), "NonFiniteOutput", After.QUARANTINE, "non_finite"),
        (ValueError(f"cannot convert {SECRET!r}"), "ValueError", After.RETRY, None),
    ],
)
def test_an_error_becomes_its_class_and_consequence(
    running: Running, error: Exception, name: str, after: After, reason: str | None
) -> None:
    with pytest.raises(Exception, match=name):
        running.start("step", fail(error))
    (failure,) = running.met
    assert (failure.error.split(" at ")[0], failure.after, failure.reason) == (name, after, reason)
    # of an unforeseen error nothing but its class and its place in our code is told
    assert reason is not None or re.fullmatch(r"ValueError at engine\.py:\d+", failure.error)
    assert "job-step" in running.everything()
    assert SECRET not in running.everything()


def test_the_last_step_is_tried_again(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def act() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError(SECRET)

    monkeypatch.setattr(engine, "_LAST_STEP_PAUSE_S", 0.01)
    running.start("last", act)
    assert len(tries) == 3
    assert running.met == []
    assert SECRET not in running.everything()


def test_jobs_are_listed_until_they_end(running: Running) -> None:
    client, opened = engine.client(running.url), open_engine(running.url)
    try:
        with write(opened) as connection:
            engine.enqueuer(client)(connection, Job("told", "later", "settle", ("how",), delay_s=3600))
        running.start("step", lambda: None)
        assert engine.jobs(client, "told") == {"later": "how"}
    finally:
        client.destroy()
        opened.dispose()


def test_another_host_name_takes_up_the_jobs_of_a_local_ledger(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "a-new-container")
    assert DBOS.executor_id == f"{engine.place(running.url)}-0"
    assert engine.place("postgresql+psycopg://ledger/dicom_ai") == "a-new-container"
