"""The job engine as the rest of the service sees it: prepare its tables, enqueue in our transaction, run steps.

One of two modules that know DBOS (the other is `workflow`, which says what the workflows are). Its tables lie in the
ledger's database, so a job and the rows it acts on are committed together. Arguments are ids and small JSON. What this
is not: what the jobs do.
"""

import socket
from collections.abc import Callable
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions, StepOptions
from sqlalchemy import Connection

from dicom_ai.errors import After, DicomAIError
from dicom_ai.log import told
from dicom_ai.ports import Enqueue, Job

QUEUES = ("settle", "classify", "deliver")
"""Names of the queues; `deliver` is partitioned by destination."""


PIPELINE_VERSION = "1"
"""Changes when the order of steps changes; running workflows of another version are not resumed. Drain first."""

_POLL_S = 0.2
_LAST_STEP_ATTEMPTS, _LAST_STEP_PAUSE_S = 8, 1.0


def prepare(url: str) -> None:
    """Make or update the engine's tables. Once per start, by one process, after `database.migrate` (which sets WAL)."""
    DBOS.migrate(url)


def client(url: str) -> DBOSClient:
    """Open a client on tables that `prepare` made; close it with `destroy()`."""
    return DBOSClient(system_database_url=url, serializer=DBOSPortableJSONSerializer())


def enqueuer(opened: DBOSClient) -> Enqueue:
    """Enqueue over a client. The job exists when the caller's transaction commits; the same id twice is one job."""

    def enqueue(connection: Connection, job: Job) -> None:
        opened.enqueue_in_transaction(connection, _options(job), *job.arguments)

    return enqueue


def place(url: str) -> str:
    """Name of this machine among those that share the ledger, the same after a restart.

    A ledger in SQLite has one machine, whatever it is called today: a new container has a new host name, and under it
    nobody would take up the jobs of the one before.
    """
    return "local" if url.startswith("sqlite") else socket.gethostname()[:64]


def launch(url: str, register: Callable[[], None], *, workers: int) -> None:
    """Run jobs in this process until `stop`. Only the work role calls this.

    Args:
        url: of the ledger.
        register: declares the workflows.
        workers: analyses at once.
    """
    config = DBOSConfig(
        name="dicom-ai",
        system_database_url=url,
        application_version=PIPELINE_VERSION,
        executor_id=f"{place(url)}-0",
        serializer=DBOSPortableJSONSerializer(),
        log_level="WARNING",
        enable_otlp=False,
    )
    DBOS(config=config)
    register()
    DBOS.launch()
    DBOS.register_queue("settle", worker_concurrency=2, polling_interval_sec=_POLL_S)
    DBOS.register_queue("classify", worker_concurrency=workers, polling_interval_sec=_POLL_S)
    DBOS.register_queue("deliver", partition_concurrency=1, polling_interval_sec=_POLL_S)


def stop(timeout_s: int) -> None:
    """Take no more jobs; give running ones `timeout_s` seconds. What does not end resumes at the next start."""
    DBOS.destroy(workflow_completion_timeout_sec=timeout_s)


def jobs(opened: DBOSClient, workflow: str) -> dict[str, str]:
    """The jobs of a workflow that wait or run: id -> first argument."""
    return _first_arguments(opened, workflow, ["ENQUEUED", "DELAYED", "PENDING"])


def poison(opened: DBOSClient, workflow: str) -> dict[str, str]:
    """The jobs of a workflow that were given up because the process died under them too often: id -> first argument."""
    return _first_arguments(opened, workflow, ["MAX_RECOVERY_ATTEMPTS_EXCEEDED"])


def _first_arguments(opened: DBOSClient, workflow: str, status: list[str]) -> dict[str, str]:
    found = opened.list_workflows(name=workflow, status=status, load_output=False)
    return {one.workflow_id: str(one.input["args"][0]) for one in found if one.input}


class StepFailed(Exception):
    """What of a step's error may be kept: its class, what follows and its reason; never a text we did not write."""

    def __init__(self, error: str, after: str, reason: str | None) -> None:
        super().__init__(error)
        self.error, self.after, self.reason = error, After(after), reason


def step(name: str, act: Callable[..., Any], *arguments: Any) -> Any:
    """Run a step of a workflow. Its error is recorded as its answer: a workflow that is resumed meets the same one.

    Args:
        name: of the step.
        act: does it; gives small JSON.
        arguments: of `act`.

    Raises:
        StepFailed: whatever `act` raised; the engine's tables never see the text of a foreign error.
    """
    answer = DBOS.run_step({"name": name}, _answer, act, *arguments)
    if "error" in answer:
        raise StepFailed(**answer)
    return answer["value"]


def last_step(name: str, act: Callable[..., Any], *arguments: Any) -> None:
    """Run the step that gives a failed workflow its end or next time, and patiently: nobody comes after it.

    Raises:
        StepFailed: it failed for about two minutes; what it should have done is found again at the next start.
    """
    patience = StepOptions(
        name=name, retries_allowed=True, interval_seconds=_LAST_STEP_PAUSE_S, max_attempts=_LAST_STEP_ATTEMPTS
    )
    DBOS.run_step(patience, _must, act, *arguments)


def _answer(act: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    try:
        return {"value": act(*arguments)}
    except DicomAIError as exc:
        return {"error": type(exc).__name__, "after": exc.after.value, "reason": exc.reason}
    except Exception as exc:  # noqa: BLE001 - the catch-all: whatever happened, somebody is to be told
        return {"error": told(exc), "after": After.RETRY.value, "reason": None}


def _must(act: Callable[..., Any], *arguments: Any) -> None:
    answer = _answer(act, *arguments)
    if "error" in answer:
        raise StepFailed(**answer)


def _options(job: Job) -> EnqueueOptions:
    options = EnqueueOptions(workflow_name=job.workflow, queue_name=job.queue, workflow_id=job.id)
    if job.delay_s > 0:
        options["delay_seconds"] = job.delay_s
    if job.partition is not None:
        options["queue_partition_key"] = job.partition
    return options
