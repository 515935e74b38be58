"""The command `doctor`: one line for everything the service stands on, OK or what to do about it.

It works beside a running service and before the first start, changes nothing, and looks at the rest when one thing is
broken. What this is not: the start of the service, which refuses by itself what it cannot live with.
"""

import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from dicom_ai.classify.shelf import Named
from dicom_ai.commands.checkup import device, host, ledger, peers
from dicom_ai.commands.checkup.line import Check, guarded
from dicom_ai.commands.desk import ledger_file
from dicom_ai.errors import DicomAIError
from dicom_ai.rows import print_row
from dicom_ai.serving import named_in
from dicom_ai.settings import Settings
from dicom_ai.site import SiteTables
from dicom_ai.store import site_rows
from dicom_ai.store.database import open_engine, read

_SAID = {"ok": "OK", "warning": "LOOK", "failed": "FAILED"}


def doctor(settings: Settings, now: datetime, *, as_json: bool) -> int:
    """Look at everything and print a line as each thing is known; 1 when something failed.

    Args:
        settings: of the service.
        now: aware time of our clock.
        as_json: rows {"check", "status": "ok|warning|failed", "detail", "remedy"}.
    """
    count = dict.fromkeys(_SAID, 0)
    for check in examine(settings, now):
        count[check.status] += 1
        if as_json:
            print_row(asdict(check))
            continue
        sys.stdout.write(f"{_SAID[check.status]:7}{check.check}: {check.detail}\n")
        if check.remedy:
            sys.stdout.write(f"       -> {check.remedy}\n")
        sys.stdout.flush()
    if not as_json:
        sys.stdout.write(f"{count['failed']} failed, {count['warning']} to look at, {count['ok']} well\n")
    return int(count["failed"] > 0)


def examine(settings: Settings, now: datetime) -> Iterator[Check]:
    """Every check, in the order of the day: host, ledger, device and models, destinations."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", f"{peers.LIMIT_S:.0f}")  # else a host that swallows packets holds us up
    for look in (host.libraries, host.validators):
        yield from guarded(look.__name__, look)
    for of_settings in (
        host.service, host.port, host.ae_titles, host.data_folder, host.file_system, host.space,
    ):  # fmt: skip
        yield from guarded(of_settings.__name__.replace("_", " "), partial(of_settings, settings))
    path = ledger_file(settings)
    looks = {"database": partial(ledger.of_file, path)} if path is not None else {}
    if (yield from _all_well(looks)):  # a damaged ledger is not opened, and one without WAL not mended by looking
        opened = open_engine(settings.database_url)
        try:
            yield from _with_ledger(settings, opened, now, is_file=path is not None)
        finally:
            opened.dispose()
    else:
        yield from _without_ledger(settings, now)


def _with_ledger(settings: Settings, opened: Engine, now: datetime, *, is_file: bool) -> Iterator[Check]:
    first = partial(ledger.durability, opened) if is_file else partial(ledger.of_server, settings, opened)
    looks = {"durability" if is_file else "database": first, "schema": partial(ledger.schema, opened)}
    if not (yield from _all_well(looks)):
        yield from _without_ledger(settings, now)
        return
    yield from guarded("clock", partial(ledger.clock, settings, opened, now))
    yield from guarded("alarms", partial(ledger.waiting, opened, now))
    yield from guarded("device", partial(device.device, settings))
    yield from guarded("models", lambda: device.models(settings, _tables(opened), _named(opened)))
    yield from guarded("site tables", partial(peers.tables, opened))
    yield from guarded("destinations", partial(peers.destinations, opened, settings))


def _without_ledger(settings: Settings, now: datetime) -> Iterator[Check]:
    yield from guarded("clock", partial(ledger.clock, settings, None, now))
    yield from guarded("device", partial(device.device, settings))
    yield from guarded("models", partial(device.models, settings, None))


def _all_well(looks: Mapping[str, Callable[[], Iterator[Check]]]) -> Generator[Check, None, bool]:
    """Look at one thing after another; False as soon as something failed: what comes after it stands on it."""
    for name, look in looks.items():
        found = list(guarded(name, look))
        yield from found
        if any(check.status == "failed" for check in found):
            return False
    return True


def _tables(opened: Engine) -> SiteTables | None:
    """The site's tables if they can be read; what is wrong with them is said by their own check."""
    try:
        with read(opened) as connection:
            return site_rows.newest(connection)
    except (DicomAIError, ValueError):
        return None


def _named(opened: Engine) -> tuple[Named, ...]:
    """The rows of the registry; LedgerUnavailable is a finding: without them nobody knows which model answers."""
    with read(opened) as connection:
        return named_in(connection)
