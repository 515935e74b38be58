"""The job engine as the rest of the service sees it: prepare its tables, enqueue in our transaction, run steps.

One of two modules that know DBOS (the other is `workflow`, which says what the workflows are). Its tables lie in the
ledger's database, so a job and the rows it acts on are committed together. Arguments are ids and small JSON. What this
is not: what the jobs do, or who of several workers is alive (`watchdog`).
"""

import socket
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions, StepOptions, WorkflowStatus
from sqlalchemy import Connection, Engine, inspect

from dicom_ai.errors import After, DicomAIError
from dicom_ai.log import told
from dicom_ai.ports import Enqueue, Job

QUEUES = ("settle", "classify", "deliver", "pull")
"""Names of the queues; `deliver` is partitioned by destination; of `pull` one job runs at a time, on any machine."""


PIPELINE_VERSION = "1"
"""Changes when the order of steps changes. Jobs that another version began are not resumed: they are cancelled by who
meets them (`retire`, `take_over`), and what they were for is found without a job and begun anew."""

MAX_RECOVERIES = 20
"""Restarts of a process, here or elsewhere, that a job survives; the decoding children take the poison, not we."""

KEPT_JOBS = timedelta(days=7)
"""How long ended jobs are kept. What they did stands in the ledger; theirs are times and attempts."""

_TIDY_BATCH = 500
_POLL_S = 0.2
_HAS_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_SPENT, _GIVEN_UP = "starts_elsewhere", "given_up"
_LAST_STEP_ATTEMPTS, _LAST_STEP_PAUSE_S = 8, 1.0


def prepare(url: str) -> None:
    """Make or update the engine's tables. Once per start, by one process, after `database.migrate` (which sets WAL)."""
    DBOS.migrate(url)


def is_prepared(opened: Engine) -> bool:
    """Whether the tables that `prepare` makes are there."""
    return inspect(opened).has_table("workflow_status", schema=None if opened.dialect.name == "sqlite" else "dbos")


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


def launch(
    url: str,
    register: Callable[[], None],
    *,
    workers: int,
    executor: str = "local-0",
    fence: Callable[[], None] | None = None,
) -> None:
    """Run jobs in this process until `stop`. Only the work role calls this.

    Args:
        url: of the ledger.
        register: declares the workflows.
        workers: analyses at once.
        executor: name of this worker; no other living one has it.
        fence: called before every step; does not return once the name is lost.
    """
    global _fence  # noqa: PLW0603 - the engine, too, is one per process
    _fence = fence or _unfenced
    config = DBOSConfig(
        name="dicom-ai",
        system_database_url=url,
        application_version=PIPELINE_VERSION,
        executor_id=executor,
        serializer=DBOSPortableJSONSerializer(),
        run_migrations=False,
        log_level="WARNING",
        enable_otlp=False,
    )
    DBOS(config=config)
    register()
    DBOS.launch()
    DBOS.set_latest_application_version(PIPELINE_VERSION)  # also after a step back: jobs that wait have no version
    DBOS.register_queue("settle", worker_concurrency=2, polling_interval_sec=_POLL_S)
    DBOS.register_queue("classify", worker_concurrency=workers, polling_interval_sec=_POLL_S)
    DBOS.register_queue("deliver", partition_concurrency=1, polling_interval_sec=_POLL_S)
    DBOS.register_queue("pull", concurrency=1, worker_concurrency=1, polling_interval_sec=_POLL_S)


def stop(timeout_s: int) -> None:
    """Take no more jobs; give running ones `timeout_s` seconds. What does not end resumes at the next start."""
    DBOS.destroy(workflow_completion_timeout_sec=timeout_s)


def jobs(opened: DBOSClient, workflow: str) -> dict[str, str]:
    """The jobs of a workflow that wait or run: id -> first argument."""
    return _first_arguments(opened, workflow, ["ENQUEUED", "DELAYED", "PENDING"])


def poison(opened: DBOSClient, workflow: str) -> dict[str, str]:
    """The jobs of a workflow that were given up because the process died under them too often: id -> first argument."""
    here = _first_arguments(opened, workflow, ["MAX_RECOVERY_ATTEMPTS_EXCEEDED"])
    # the engine filters by attributes on PostgreSQL only
    cancelled = opened.list_workflows(name=workflow, status="CANCELLED", load_output=False)
    return here | _by_id(one for one in cancelled if (one.attributes or {}).get(_GIVEN_UP))


def _first_arguments(opened: DBOSClient, workflow: str, status: list[str]) -> dict[str, str]:
    return _by_id(opened.list_workflows(name=workflow, status=status, load_output=False))


def _by_id(found: Iterable[WorkflowStatus]) -> dict[str, str]:
    return {one.workflow_id: str(one.input["args"][0]) for one in found if one.input}


def running(opened: DBOSClient) -> set[str]:
    """Names of the workers that have jobs running, whether or not they live."""
    return {str(one.executor_id) for one in _running(opened)}


def retire(opened: DBOSClient, executor: str) -> int:
    """Cancel what this worker began under another version of the pipeline, before `launch`; how many jobs."""
    found = [one for one in _running(opened, executor) if one.app_version != PIPELINE_VERSION]
    opened.cancel_workflows([one.workflow_id for one in found])
    return len(found)


def take_over(opened: DBOSClient, executor: str) -> int:
    """Give the running jobs of a dead worker back to their queues, for whoever is free; how many jobs.

    Only while the dead worker's name is held. The starts of a job are counted over all workers, so that one that
    kills each of them in turn is given up at last.
    """
    found = _running(opened, executor)
    for one in found:
        spent = int((one.attributes or {}).get(_SPENT, 0)) + int(one.recovery_attempts or 0)
        is_poison = spent > MAX_RECOVERIES
        opened.update_workflow_attributes(one.workflow_id, {_SPENT: spent, _GIVEN_UP: is_poison})
        if is_poison or one.app_version != PIPELINE_VERSION:
            opened.cancel_workflow(one.workflow_id)
        else:
            opened.resume_workflow(one.workflow_id, queue_name=one.queue_name)
    return len(found)


def tidy(opened: DBOSClient, now: datetime) -> int:
    """Forget jobs that ended long ago, some at a time; how many. Call it now and then."""
    before = (now.astimezone(UTC) - KEPT_JOBS).isoformat()
    ended = opened.list_workflows(
        status=_HAS_ENDED, completed_before=before, limit=_TIDY_BATCH, load_input=False, load_output=False
    )
    opened.delete_workflows([one.workflow_id for one in ended])
    return len(ended)


def _running(opened: DBOSClient, executor: str | None = None) -> list[WorkflowStatus]:
    return opened.list_workflows(status=["PENDING"], executor_id=executor, load_input=False, load_output=False)


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


def _unfenced() -> None:
    """One worker on one ledger needs no fence."""


_fence: Callable[[], None] = _unfenced


def _answer(act: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    try:
        _fence()
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
