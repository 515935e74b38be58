"""The command `studies again`: goes through a study anew after its cause of failure was removed.

It writes rows and jobs as the service does, beside a running service or without one; the work itself is the
service's. What this is not: the rules (`store.again`).
"""

import sys
from collections.abc import Callable
from datetime import datetime

from dicom_ai.commands.desk import acting
from dicom_ai.commands.rules import instance_of
from dicom_ai.errors import SettingsError
from dicom_ai.rows import print_row
from dicom_ai.service import task_of
from dicom_ai.settings import Settings
from dicom_ai.store.again import Again, StudyInDoubt, Way, go_again
from dicom_ai.store.database import write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.overview import find_study
from dicom_ai.store.site_rows import newest


def again(start: str, settings: Settings, *, by: str, clock: Callable[[], datetime], as_json: bool) -> int:
    """Go through a study anew; return the exit code: 1 when an identity conflict is open or an object is unreadable.

    Args:
        start: our id of the study, or its first digits.
        settings: of the service.
        by: who asks for it.
        clock: aware times.
        as_json: print one JSON row.

    Raises:
        SettingsError: no such study, more than one, or no ledger yet.
        LedgerUnavailable: nothing was done.
    """
    files = ObjectStore(settings.store.data)
    with acting(settings, clock) as desk, write(desk.engine) as connection:
        found = find_study(connection, start)
        if len(found) != 1:
            known = f"{len(found)} studies begin" if found else "no study begins"
            raise SettingsError(f"{known} with {start!r}; `dicom-ai studies list` shows them")
        tables = newest(connection)
        way = Way(
            instance_of=lambda digest: instance_of(files.path(digest)),
            task_of=lambda instance, calling, called: task_of(tables, instance, calling, called),
            enqueue=desk.enqueue,
            by=by,
        )
        try:
            done = go_again(connection, found[0], way, clock())
        except StudyInDoubt as exc:
            sys.stderr.write(f"{exc}\n")
            return 1
    if as_json:
        print_row(
            {"study": found[0], "tasks": dict(done.tasks), "no_task": done.unrouted, "unreadable": done.unreadable}
        )
    else:
        sys.stdout.write(_sentence(found[0], done))
    return int(done.unreadable > 0)


def _sentence(study: str, done: Again) -> str:
    lines = [f"{study}: {count} objects go through {task} again" for task, count in done.tasks.items()]
    if not done.tasks:
        lines.append(f"{study}: no object of this study belongs to a task")
    if done.unrouted:
        lines.append(f"{done.unrouted} objects match no route; `dicom-ai rules test` says why")
    if done.unreadable:
        lines.append(f"{done.unreadable} objects cannot be read from the store and stay as they were")
    return "\n".join(lines) + "\n"
