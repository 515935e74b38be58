"""A real ledger and store in a folder, with jobs written into the same transaction, for tests of several stages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Column, Connection, Engine, Float, MetaData, String, Table, select

from dicom_ai.instance import US_IMAGE, Identity, Instance
from dicom_ai.ports import Job, Spooled, data_set_digest
from dicom_ai.site import SiteTables
from dicom_ai.store.commit import Keeper
from dicom_ai.store.database import migrate, read
from dicom_ai.store.files import Disk, ObjectStore
from dicom_ai.store.intake import Rules
from tests.databases import opened

EXPLICIT_LE = "1.2.840.10008.1.2.1"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

_jobs = Table(
    "test_jobs",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("workflow", String),
    Column("queue", String),
    Column("arguments", JSON),
    Column("delay_s", Float),
    Column("partition", String),
)


class LedgerJobs:
    """An `Enqueue` whose jobs commit and roll back with the caller, as the engine's do; an id twice is one job."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        _jobs.metadata.create_all(engine)

    def __call__(self, connection: Connection, job: Job) -> None:
        if connection.scalar(select(_jobs.c.id).where(_jobs.c.id == job.id)) is None:
            connection.execute(
                _jobs.insert().values(
                    id=job.id,
                    workflow=job.workflow,
                    queue=job.queue,
                    arguments=list(job.arguments),
                    delay_s=job.delay_s,
                    partition=job.partition,
                )
            )

    def all(self) -> list[Job]:
        with read(self._engine) as connection:
            rows = connection.execute(select(_jobs)).all()
        return [Job(row.workflow, row.id, row.queue, tuple(row.arguments), row.delay_s, row.partition) for row in rows]

    def ids(self, workflow: str) -> list[str]:
        return sorted(job.id for job in self.all() if job.workflow == workflow)


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def site(*forwarding: str) -> SiteTables:
    return SiteTables.model_validate(
        {
            "destinations": [
                {"name": name, "ae_title": "PACS", "host": "127.0.0.1", "port": 104, "forward": "all"}
                for name in forwarding
            ]
        }
    )


@dataclass
class Place:
    """One data folder with everything that keeps objects."""

    data: Path
    engine: Engine
    jobs: LedgerJobs
    files: ObjectStore
    keeper: Keeper
    clock: Clock
    associations: list[str] = field(default_factory=list)

    def spooled(self, number: int = 1, **changes: Any) -> Spooled:
        """An object in the spool; equal arguments make equal objects."""
        content = changes.pop("content", b"content %d" % number)
        patient_id = changes.pop("patient_id", "P1")
        association = changes.pop("association", "a1")
        facts = {
            "sop_instance_uid": f"1.2.3.{number}",
            "sop_class_uid": US_IMAGE,
            "transfer_syntax_uid": EXPLICIT_LE,
            "study_instance_uid": "1.2.9",
            "series_instance_uid": "1.2.9.1",
            **changes,
        }
        path = self.files.new_spool()
        path.write_bytes(content)
        return Spooled(
            path=path,
            digest=data_set_digest(content, facts["transfer_syntax_uid"]),
            size=len(content),
            instance=Instance(**facts),
            identity=Identity(patient_id, "Name^Invented", "19700101", "A1"),
            calling_ae="SCANNER",
            called_ae="DICOM_AI",
            association=association,
        )

    def rows(self, table: Table) -> Sequence[Any]:
        with read(self.engine) as connection:
            return connection.execute(select(table)).all()


def place(
    data: Path,
    *,
    tables: SiteTables | None = None,
    task: Callable[..., str | None] = lambda *_: "lung-signs",
    disk: Disk | None = None,
    min_free_mib: int = 0,
) -> Place:
    """Build a place in `data` (made if absent), schema included."""
    files = ObjectStore(data, disk=disk, min_free_mib=min_free_mib)
    engine = opened(data)
    migrate(engine)
    jobs, clock = LedgerJobs(engine), Clock()
    site_tables = tables if tables is not None else site("pacs")
    keeper = Keeper(
        engine=engine,
        files=files,
        enqueue=jobs,
        tables=lambda: site_tables,
        task_of=task,
        study_id=lambda uid: f"s-{uid[-30:]}",  # as short as a real one
        rules=Rules(quiet_s=60, late_quiet_s=120, forward_wait_s=1, receiver="here"),
        clock=clock,
    )
    return Place(data, engine, jobs, files, keeper, clock)
