"""The commands `quarantine approve|layouts|withdraw`: a person says where the picture of a device is.

A polygon is entered only when the object it was drawn on would be cropped with it. Once as many people as the
settings want have agreed, the objects that waited for it go through the crop again, as a new revision of their
studies. Who agrees is told by name; nothing proves it but the access to this machine.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import Connection, Row

from dicom_ai.approved import approved, layout_of_row
from dicom_ai.commands import desk
from dicom_ai.commands.quarantine import SHORT, only
from dicom_ai.commands.replay import Replayed, replay
from dicom_ai.crop import catalogue
from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.proposal import fault_of, mask_digest, polygon_of
from dicom_ai.cropping import PIPELINE_VERSION, cropper_of
from dicom_ai.errors import SettingsError, UnreadableInstance
from dicom_ai.headers import header
from dicom_ai.kept import Polygon
from dicom_ai.ledger import Ledger
from dicom_ai.reasons import REASONS
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.store import layouts
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.quarantine import APPROVABLE, Quarantined, quarantined


@dataclass(frozen=True)
class Choice:
    """What a person approves.

    Attributes:
        target: beginning of an object's digest, or the name of an entry that waits for a second person.
        keep: polygons as text, "x,y x,y x,y".
        source: "support" or "region": the polygon of that witness; None where `keep` says it.
        is_any_software: the entry is for every software version, not only for that of the object.
        by, note: who, and what they write.
    """

    target: str
    keep: tuple[str, ...]
    source: str | None
    is_any_software: bool
    by: str
    note: str


def approve(choice: Choice, settings: Settings, clock: Callable[[], datetime]) -> int:
    """Enter a polygon, or agree to one; 1 when it cannot help, with a sentence why.

    Raises:
        SettingsError: no such object or entry, or a polygon that cannot be one.
        SamePerson, NotOpen: the entry is not theirs to approve.
    """
    with desk.acting(settings, clock) as at:
        number = layouts.number_of(choice.target)
        if number is not None:
            row = _confirmed(at, number, choice)
        else:
            entered = _entered(at, choice, settings)
            if entered is None:
                return 1
            row = entered
        return _follow(at, row, choice.by, settings)


def list_layouts(settings: Settings, *, everything: bool, as_json: bool) -> int:
    """Print the catalogue: what people approved or proposed; with `everything` also what was withdrawn or shipped."""
    with desk.reading(settings) as opened, read(opened) as connection:
        found = layouts.entries(connection, *(() if everything else (layouts.APPROVED, layouts.PROPOSED)))
    rows = [_row(one) for one in found]
    if everything:
        rows += [_shipped(one) for one in catalogue.published()]
    if as_json:
        for row in rows:
            print_row(row)
        return 0
    columns = ("id", "state", "device", "software", "size", "by", "agreed", "evidence", "note")
    lines = [
        (row["id"], row["state"], f"{row['manufacturer']} {row['model']}", row["software"] or "any",
         f"{row['columns']}x{row['rows']}", row["proposed_by"], row["approved_by"], (row["evidence"] or "")[:SHORT],
         row["note"])
        for row in rows
    ]  # fmt: skip
    print_table("Layouts", columns, lines)
    if not everything:
        sys.stdout.write(f"{len(catalogue.published())} published entries bound the picture too; --all shows them.\n")
    return 0


def withdraw(name: str, settings: Settings, *, by: str, clock: Callable[[], datetime]) -> int:
    """An entry stops counting; the studies that were cropped by it are named, and stand as they are.

    Raises:
        SettingsError: no such entry.
        NotOpen: it was withdrawn already.
    """
    with desk.reading(settings) as opened, write(opened) as connection:
        number = _number(connection, name)
        studies = layouts.withdraw(connection, number, by=by, now=clock())
    sys.stdout.write(f"{layouts.name_of(number)} counts no more (by {by})\n")
    for study in studies:
        sys.stdout.write(f"cropped by it: study {study}; `dicom-ai studies again {study}` goes through it anew\n")
    return 0


def _number(connection: Connection, name: str) -> int:
    number = layouts.number_of(name)
    try:
        if number is None:
            raise LookupError(name)
        layouts.entry(connection, number)
    except LookupError:
        raise SettingsError(f"no layout {name!r}; `dicom-ai quarantine layouts` shows them") from None
    return number


def _confirmed(at: Ledger, number: int, choice: Choice) -> Row[Any]:
    if choice.keep or choice.source:
        raise SettingsError(f"{choice.target} has its polygon; approve it as it is, or an object with another one")
    with write(at.engine) as connection:
        _number(connection, choice.target)
        return layouts.confirm(connection, number, by=choice.by, now=at.clock())


def _entered(at: Ledger, choice: Choice, settings: Settings) -> Row[Any] | None:
    """The new entry; None when approving cannot help, which was said then."""
    with read(at.engine) as connection:
        found = only(quarantined(connection, start=choice.target), choice.target)
    if found.reason not in APPROVABLE:
        reason = REASONS.get(found.reason)
        say(f"no keep polygon helps against {found.reason}: {reason.remedy if reason else ''}")
        return None
    trial, ds = _trial(found, choice, settings)
    with cropper_of(settings) as cropper:
        if choice.source is not None:
            path = ObjectStore(settings.store.data).path(found.digest)
            shown = cropper.show(path, approved(at.engine))
            trial = replace(trial, keep=shown.support if choice.source == "support" else shown.regions)
        fault = fault_of(trial.keep, trial.rows, trial.columns, catalogue.layout_of(ds, ()))
        if fault is not None:
            raise SettingsError(f"this cannot be kept: {fault}")
        outcome, _ = cropper.crop(ObjectStore(settings.store.data).path(found.digest), 1, (trial,))
    if outcome.status != "cropped":
        now = REASONS.get(outcome.reason or "")
        say(f"nothing was entered: with this polygon the crop says {outcome.reason}: {now.meaning if now else ''}")
        return None
    with write(at.engine) as connection:
        proposal = _proposal(trial, found, choice)
        return layouts.propose(connection, proposal, by=choice.by, approvals=settings.crop.approvals, now=at.clock())


def _trial(found: Quarantined, choice: Choice, settings: Settings) -> tuple[Layout, Dataset]:
    """The entry as it would be, and the header of the object."""
    if bool(choice.keep) == (choice.source is not None):
        raise SettingsError("say what is kept: --keep 'x,y x,y x,y', --keep-support or --keep-region")
    try:
        ds = header(ObjectStore(settings.store.data).path(found.digest))
        keep: tuple[Polygon, ...] = tuple(polygon_of(text) for text in choice.keep)
    except UnreadableInstance:
        raise SettingsError("the object cannot be read from the store") from None
    except ValueError as exc:
        raise SettingsError(str(exc)) from None
    one = found.instance
    if not (one.manufacturer or one.model):
        raise SettingsError("the object names neither maker nor model, so nothing says which device the polygon is for")
    software = None if choice.is_any_software else catalogue.software_of(ds)
    return Layout("trial", one.manufacturer, one.model, software, one.rows, one.columns, keep, "approved"), ds


def _proposal(trial: Layout, found: Quarantined, choice: Choice) -> layouts.Proposal:
    return layouts.Proposal(
        manufacturer=trial.manufacturer, model=trial.model, software=trial.software, rows=trial.rows,
        columns=trial.columns, keep=trial.row()["keep"], mask=mask_digest(trial.keep, trial.rows, trial.columns),
        evidence=found.digest, note=choice.note, pipeline=PIPELINE_VERSION,
    )  # fmt: skip


def _follow(at: Ledger, row: Row[Any], by: str, settings: Settings) -> int:
    """Say what stands, and let the objects that waited for it go through the crop again; 1 when one cannot."""
    served = _served(at, layout_of_row(row), settings)
    name = layouts.name_of(row.id)
    size = f"{row.columns}x{row.rows}"
    sys.stdout.write(f"{name}: {row.manufacturer} {row.model}, software {row.software or 'any'}, {size}, {row.state}\n")
    for one in served:
        sys.stdout.write(f"  waits for it: {one.digest[:SHORT]} {one.reason}, study {one.study}\n")
    if row.state == layouts.PROPOSED:
        sys.stdout.write(f"A second person must agree: `dicom-ai quarantine approve {name} --by NAME`\n")
        return 0
    done = replay(at, sorted({one.study for one in served}), by=by, settings=settings)
    for study in done:
        sys.stdout.write(f"  {_said(study)}\n")
    return int(any(study.fault is not None for study in done))


def _served(at: Ledger, layout: Layout, settings: Settings) -> list[Quarantined]:
    """Waiting objects of the entry's device, software and frame size."""
    with read(at.engine) as connection:
        waiting = quarantined(connection, reasons=APPROVABLE)
    files = ObjectStore(settings.store.data)
    size = layout.rows, layout.columns
    return [one for one in waiting if (one.instance.rows, one.instance.columns) == size and _fits(files, one, layout)]


def _fits(files: ObjectStore, one: Quarantined, layout: Layout) -> bool:
    try:
        return layout.is_for(header(files.path(one.digest)))
    except (UnreadableInstance, OSError):
        return False


def _said(one: Replayed) -> str:
    if one.fault is not None:
        return f"study {one.study} is not gone through again: {one.fault}"
    count = sum(one.tasks.values())
    return f"study {one.study}: {count} objects go through {', '.join(one.tasks) or 'no task'} again"


def _row(one: Row[Any]) -> dict[str, Any]:
    times = {name: getattr(one, name) for name in ("proposed_at", "approved_at", "withdrawn_at")}
    row = {name: value for name, value in one._asdict().items() if name not in times}
    return row | {"row": "layout", "id": layouts.name_of(one.id)} | {k: v and v.isoformat() for k, v in times.items()}


def _shipped(one: Layout) -> dict[str, Any]:
    nobody: dict[str, Any] = dict.fromkeys(("proposed_by", "approved_by", "evidence", "note"))
    names: Sequence[str] = ("manufacturer", "model", "software", "rows", "columns")
    return {"row": "layout", "id": one.name, "state": one.status} | {k: getattr(one, k) for k in names} | nobody | {
        "keep": one.row()["keep"]
    }  # fmt: skip
