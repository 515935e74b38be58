"""The commands `conflicts`: shows objects that contradict each other, and carries out what a person decided.

Patients are on the screen only when somebody asks for them. What this is not: the rules (`store.conflicts`,
`store.resolution`).
"""

import getpass
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dicom_ai import engine
from dicom_ai.commands.desk import acting, reading
from dicom_ai.commands.rules import instance_of
from dicom_ai.ledger import Ledger
from dicom_ai.rows import print_row, print_table
from dicom_ai.service import task_of
from dicom_ai.settings import Settings
from dicom_ai.store.conflict_rows import conflict_rows
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.intake import Intake, Rules
from dicom_ai.store.resolution import AlreadyDecided, Decision, Resolver, UnknownChoice
from dicom_ai.store.site_id import site_id
from dicom_ai.store.site_rows import newest

__all__ = ["Decision", "list_conflicts", "operating_user", "resolve"]

_SHORT = 12  # hex digits of a digest that a person needs to tell two apart


def list_conflicts(settings: Settings, *, everything: bool, with_identity: bool, as_json: bool) -> int:
    """Print the open conflicts, or all; return the exit code.

    Raises:
        SettingsError: there is no ledger yet.
    """
    with reading(settings) as opened, read(opened) as connection:
        found = conflict_rows(connection, everything=everything, with_identity=with_identity)
    if as_json:
        for row in found:
            print_row(row)
        return 0
    if not found:
        sys.stdout.write("No conflicts.\n" if everything else "No open conflicts; --all shows those of the past.\n")
        return 0
    columns = ("id", "kind", "state", "study", "since (UTC)", "from", "differs", "choose", "to recall")
    print_table("Conflicts", columns, [_line(row) for row in found])
    if any(row["state"] == "open" for row in found):
        sys.stdout.write(
            "Decide with `dicom-ai conflicts resolve ID --choose CHOICE`; --identity shows the patients.\n"
        )
    return 0


def resolve(settings: Settings, decision: Decision, clock: Callable[[], datetime]) -> int:
    """Carry out what a person decided; return the exit code: 1 nothing left to decide, 2 no such conflict or choice.

    Raises:
        SettingsError: there is no ledger yet.
        UnreadableInstance, LedgerUnavailable: nothing was decided.
    """
    try:
        with acting(settings, clock) as desk:
            _resolve(settings, desk, decision)
    except UnknownChoice as exc:
        sys.stderr.write(f"{exc.args[0]}\n")
        return 2
    except AlreadyDecided as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.write(f"conflict {decision.conflict} resolved: {decision.choice} (by {decision.by})\n")
    return 0


def operating_user() -> str:
    """Who runs this command, as the operating system knows them."""
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):
        return "unknown"


def _resolve(settings: Settings, desk: Ledger, decision: Decision) -> None:
    now = desk.clock()
    rules = Rules(
        quiet_s=settings.store.settle_quiet_s,
        late_quiet_s=settings.store.settle_late_quiet_s,
        forward_wait_s=settings.deliver.forward_wait_s,
        receiver=engine.place(settings.database_url),
    )
    files = ObjectStore(settings.store.data)
    with write(desk.engine) as connection:
        tables = newest(connection)
        intake = Intake(
            connection,
            now=now,
            tables=tables,
            task_of=lambda instance, calling, called: task_of(tables, instance, calling, called),
            study_id=site_id(settings.store.data).study_id,
            rules=rules,
        )
        resolver = Resolver(
            connection,
            intake,
            now=now,
            instance_of=lambda digest: instance_of(files.path(digest)),
            enqueue=desk.enqueue,
        )
        resolver.resolve(decision)


def _line(row: Mapping[str, Any]) -> tuple[object, ...]:
    choices = "\n".join(_choice(side) for side in row["choices"])
    done = f"{row['choice']} by {row['by']}" if row["choice"] else ""
    recall = "\n".join(
        f"{one['kind']} {one['sop_uid']} at {one['destination']} ({_recalled(one)})" for one in row["recall"]
    )
    about = "\n".join(row["studies"])
    differs = ", ".join(row["differs"]) or "content only"
    return (row["id"], row["kind"], row["state"], about, row["at"][:16], row["peer"], differs, done or choices, recall)


def _recalled(one: Mapping[str, Any]) -> str:
    return f"recalled, note {one['recalled']}" if one["recalled"] else str(one["state"])


def _choice(side: Mapping[str, Any]) -> str:
    """One choice in words: the digest of an object, or how many objects a patient has."""
    what = side["digest"][:_SHORT] if "digest" in side else f"{side['objects']} objects"
    who = side.get("identity")
    said = f": {', '.join(text for text in who.values() if text)}" if who else ""
    return f"{side['choose']} = {what}{said}"
