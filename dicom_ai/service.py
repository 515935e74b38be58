"""The composition root: builds the real parts of each role, starts them, drains them, stops them.

`serve` is what a person runs; it holds the data folder and becomes the supervisor. `python -m dicom_ai.service ROLE`
is what the supervisor runs: a role process that reads its settings from standard input. `receive` never imports
torch; imports of heavy parts stand inside the role that needs them.
"""

import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dicom_ai import __version__, engine, log
from dicom_ai.classify.routing import route, rows_of, traps
from dicom_ai.errors import DicomAIError, ResourceError, SettingsError
from dicom_ai.groundwork import prepare, sweep
from dicom_ai.instance import Instance
from dicom_ai.ledger import Ledger
from dicom_ai.ports import Enqueue
from dicom_ai.rows import print_row
from dicom_ai.settings import Settings
from dicom_ai.site import SiteTables, read_site
from dicom_ai.store.database import open_engine, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.site_id import hold, site_id
from dicom_ai.store.site_rows import SiteReader, apply
from dicom_ai.supervisor import Supervisor, await_end_of, follow_parent
from dicom_ai.watchdog import seated

if TYPE_CHECKING:
    from dicom_ai.analysis import Analyst
    from dicom_ai.crop.cropper import Cropper
    from dicom_ai.store.commit import Keeper

ROLES = ("receive", "work")

_LOOK_AFTER_S = 60.0  # pause between two looks for what has no job
_WATCH_S = 0.5  # how soon a role notices that its store turned read-only


def serve(settings: Settings, roles: Sequence[str]) -> int:
    """Run the service until a signal stops it; return the exit code.

    Raises:
        SettingsError: a role that does not exist.
        DataFolderInUse: another instance holds the data folder.
    """
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise SettingsError(f"--roles knows {', '.join(ROLES)}, not {', '.join(unknown) or 'nothing'}")
    with hold(settings.store.data):
        prepare(settings)
        sweep(settings)
        supervisor = Supervisor(settings, [role for role in ROLES if role in roles])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: supervisor.stop())
        told = supervisor.start()
        print_row(
            {
                "ready": True,
                "ae": settings.receive.ae_title,
                "port": told.get("port"),
                "web": None,
                "pid": supervisor.pid,
                "version": __version__,
            }
        )
        return supervisor.run()


def apply_site(path: Path, by: str, settings: Settings) -> str:
    """Put a site file into force; return a sentence that says so, and one for every trap in its routes."""
    tables = read_site(path)
    prepare(settings)
    version = put_into_force(tables, by, settings, _now())
    n_routes, n_destinations = len(tables.routes), len(tables.destinations)
    said = f"version {version} in force: {n_routes} routes, {n_destinations} destinations, {len(tables.peers)} peers"
    return "\n".join([said, *(f"warning: {trap}" for trap in traps(rows_of(tables)))])


def put_into_force(tables: SiteTables, by: str, settings: Settings, now: datetime) -> int:
    """Write tables into the ledger as the newest version; return it."""
    opened = open_engine(settings.database_url)
    try:
        with write(opened) as connection:
            return apply(connection, tables, by=by, now=now)
    finally:
        opened.dispose()


def task_of(tables: SiteTables, instance: Instance, calling_ae: str, called_ae: str) -> str | None:
    """The task of an object by the site's routes, None when no row matches."""
    return route(instance, calling_ae, called_ae, rows_of(tables))


def receive_role(settings: Settings) -> None:
    """Be the storage SCP until told to stop."""
    from dicom_ai.commitments import promising, stepping
    from dicom_ai.receive.acceptor import PynetdicomAcceptor
    from dicom_ai.receive.commitment import CommitmentService
    from dicom_ai.receive.procedure_step import ProcedureStepService
    from dicom_ai.receive.tables import accepted
    from dicom_ai.store.committer import Committer

    stop = _stop_signal()
    opened = open_engine(settings.database_url)
    site, client = SiteReader(opened), engine.client(settings.database_url)
    keeper = _keeper(settings, opened, site, engine.enqueuer(client))
    committer = Committer(
        keeper, wait_ms=settings.store.commit_wait_ms, batch=settings.store.commit_batch, refused=_tell_refusal
    )
    committer.start()
    acceptor = PynetdicomAcceptor(
        settings.receive,
        lambda: accepted(any(one.forward == "all" for one in site().destinations), deflated=settings.receive.deflated),
        authorise=lambda calling, _called, _address: _is_welcome(settings, site(), calling),
        keep=committer.keep,
        notices=committer,
        spool=keeper.files.new_spool,
    )
    ledger = Ledger(opened, keeper.enqueue, _now)
    acceptor.offer(CommitmentService(promising(ledger, settings.store.settle_signal_s)))
    if settings.receive.mpps:
        acceptor.offer(ProcedureStepService(stepping(ledger, settings.store.settle_signal_s)))
    port = acceptor.start()
    print_row({"ready": True, "ae": settings.receive.ae_title, "port": port})
    _until(stop, keeper.files)
    acceptor.drain(20.0)
    committer.stop()
    client.destroy()
    _require_sound(keeper.files)


def _tell_refusal(association: str, status: int, reason: str) -> None:
    log.get_logger().warning(
        "refused", action="receive", association=association, status=f"0x{status:04X}", reason=reason
    )


def _keeper(settings: Settings, opened: Engine, site: SiteReader, enqueue: Enqueue) -> "Keeper":
    """What makes objects durable, with the receiver's start written down."""
    from dicom_ai.store.commit import Keeper
    from dicom_ai.store.intake import Rules
    from dicom_ai.store.settling import receiver_started

    rules = Rules(
        quiet_s=settings.store.settle_quiet_s,
        late_quiet_s=settings.store.settle_late_quiet_s,
        forward_wait_s=settings.deliver.forward_wait_s,
        receiver=engine.place(settings.database_url),
        conflict=settings.receive.conflict,
    )
    with write(opened) as connection:
        receiver_started(connection, rules.receiver, _now())
    return Keeper(
        engine=opened,
        files=_files(settings, "receive", settings.store.min_free_mib),
        enqueue=enqueue,
        tables=site,
        task_of=lambda instance, calling, called: task_of(site(), instance, calling, called),
        study_id=site_id(settings.store.data).study_id,
        rules=rules,
        clock=_now,
    )


def work_role(settings: Settings) -> None:
    """Crop, classify, report and deliver until told to stop."""
    from dicom_ai import workflow
    from dicom_ai.approved import approved
    from dicom_ai.cropping import cropper_of
    from dicom_ai.delivery import Courier
    from dicom_ai.pull_orders import Pulls
    from dicom_ai.story import Parts, Story

    stop = _stop_signal()
    opened = open_engine(settings.database_url)
    client = engine.client(settings.database_url)
    ledger = Ledger(opened, engine.enqueuer(client), _now)
    files, site = _files(settings, "work", 0), SiteReader(opened)
    with (
        cropper_of(settings, partial(approved, opened)) as cropper,
        seated(settings.database_url, engine.place(settings.database_url)) as seat,
    ):
        analyst = _analyst(settings, opened, cropper)
        courier = Courier(settings.deliver, ledger, files=files, site=site, chance=random.Random())  # noqa: S311
        story = Story(settings, Parts(ledger=ledger, files=files, analyst=analyst, courier=courier, site=site))
        analyst.prove()
        story.looks.start()
        recover = partial(story.recover, partial(engine.jobs, client), partial(engine.poison, client))
        engine.retire(client, seat.executor)
        recover()
        engine.launch(
            settings.database_url,
            lambda: workflow.register(story, Pulls(settings, ledger, site, partial(engine.jobs, client))),
            workers=settings.classify.workers,
            executor=seat.executor,
            fence=seat.require,
        )
        seat.watch(partial(engine.running, client), partial(engine.take_over, client))
        print_row({"ready": True})
        while not _until(stop, files, _LOOK_AFTER_S):
            _look_after(recover)
            _look_after(lambda: engine.tidy(client, _now()))
        engine.stop(15)
    client.destroy()
    _require_sound(files)


def _files(settings: Settings, role: str, min_free_mib: int) -> ObjectStore:
    """The store of a role, without what an earlier process of the role left in the spool."""
    files = ObjectStore(settings.store.data, role=f"{role}-", min_free_mib=min_free_mib)
    files.sweep_spool()
    return files


def _until(stop: threading.Event, files: ObjectStore, timeout_s: float = float("inf")) -> bool:
    """Wait until a signal asks to stop or an fsync has failed; False when `timeout_s` seconds were over before."""
    end = time.monotonic() + timeout_s
    while not (stop.wait(_WATCH_S) or files.is_read_only):
        if time.monotonic() >= end:
            return False
    return True


def _require_sound(files: ObjectStore) -> None:
    """End the role as failed when the store turned read-only; the supervisor starts another, which looks again."""
    if files.is_read_only:
        raise ResourceError("an fsync failed; starting again")


def _look_after(look: Callable[[], object]) -> None:
    """A job that ended in error, against all care, must not wait for the next start. A look that fails comes again."""
    try:
        look()
    except (DicomAIError, SQLAlchemyError) as exc:
        reason = exc.reason if isinstance(exc, DicomAIError) else None
        log.get_logger().error("look failed", action="recover", error=type(exc).__name__, reason=reason)


def _analyst(settings: Settings, opened: Engine, cropper: "Cropper") -> "Analyst":
    import torch

    from dicom_ai.analysis import Analyst, Style
    from dicom_ai.classify.runtime import Classifier
    from dicom_ai.serving import ShelfReader

    if settings.classify.threads:
        torch.set_num_threads(settings.classify.threads)
    return Analyst(
        cropper,
        lambda one: Classifier(one.folder, card=one.card, device=settings.classify.device),
        ShelfReader(opened, settings.store.data),
        site=site_id(settings.store.data),
        station=settings.site.name,
        style=Style.of(settings),
    )


def _is_welcome(settings: Settings, tables: SiteTables, calling_ae: str) -> bool:
    known = {peer.ae_title for peer in tables.peers}
    return not settings.receive.known_peers_only or calling_ae in known


def _stop_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _now() -> datetime:
    return datetime.now(UTC)


def _main() -> None:
    follow_parent(int(sys.argv[2]))
    settings = Settings.model_validate_json(sys.stdin.readline())
    await_end_of(sys.stdin)
    log.configure(settings.log.level, settings.log.format)
    try:
        {"receive": receive_role, "work": work_role}[sys.argv[1]](settings)
    except DicomAIError as exc:
        # Texts of our own errors hold no element value; a role that cannot start must say why.
        sys.stderr.write(f"{sys.argv[1]}: {exc}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    _main()
