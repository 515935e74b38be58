"""The commands `quarantine list|show|discard`: what waits for a person, what the witnesses said, and the end of it.

Rows hold our own ids, codes and facts of devices; who the patient is stands only in the picture of a whole screen,
which must be asked for. What this is not: approvals (`layouts`).
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_ai.approved import approved
from dicom_ai.commands import desk
from dicom_ai.commands.votes import votes_in_words
from dicom_ai.cropping import cropper_of
from dicom_ai.errors import SettingsError
from dicom_ai.reasons import REASONS
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.quarantine import APPROVABLE, Quarantined, quarantined
from dicom_ai.store.quarantine import discard as discard_row

SHORT = 12
"""Hex digits of a digest that a person needs to tell two apart."""


@dataclass(frozen=True)
class Wish:
    """What `quarantine show` is asked for.

    Attributes:
        start: of the object's digest.
        png: file for the picture; None: words alone.
        is_whole: the whole screen, identity included.
    """

    start: str
    png: Path | None
    is_whole: bool


def list_quarantine(reason: str | None, device: str | None, settings: Settings, *, as_json: bool) -> int:
    """Print what waits, the longest waiting first; return the exit code.

    Args:
        reason: only this reason.
        device: only devices whose maker and model contain this text.
        settings: of the service.
        as_json: print JSON rows.

    Raises:
        SettingsError: no such reason, or no ledger yet.
    """
    if reason is not None and reason not in REASONS:
        raise SettingsError(f"no reason {reason!r}; `dicom-ai reasons` prints them")
    with desk.reading(settings) as opened, read(opened) as connection:
        found = quarantined(connection, reasons=None if reason is None else (reason,))
    wanted = (device or "").casefold()
    rows = [row_of(one, settings.site.language) for one in found if wanted in device_of(one).casefold()]
    if as_json:
        for row in rows:
            print_row(row)
        return 0
    columns = ("id", "reason", "device", "size", "frames", "study", "since (UTC)", "what it means")
    lines = [
        (row["id"], row["reason"], row["device"], f"{row['columns']}x{row['rows']}", row["frames"],
         row["study"][:SHORT], row["since"][:16], f"{row['meaning']}. {row['remedy']}")
        for row in rows
    ]  # fmt: skip
    print_table("Quarantine", columns, lines)
    if any(row["approvable"] for row in rows):
        sys.stdout.write("Look with `dicom-ai quarantine show ID --png FILE`; where the picture is may be approved.\n")
    return 0


def show(wish: Wish, settings: Settings, *, as_json: bool) -> int:
    """Say why an object waits, and draw it; 1 when its pixels cannot be drawn.

    Raises:
        SettingsError: no such object, or the whole screen without a file for it.
    """
    if wish.is_whole and wish.png is None:
        raise SettingsError("--whole-screen needs --png FILE")
    with desk.reading(settings) as opened:
        with read(opened) as connection:
            found = only(quarantined(connection, start=wish.start), wish.start)
        row = row_of(found, settings.site.language) | {"votes": found.votes, "png": None}
        if wish.png is not None:
            layouts = approved(opened)
            with cropper_of(settings, lambda: layouts) as cropper:
                path = ObjectStore(settings.store.data).path(found.digest)
                shown = cropper.show(path, language=settings.site.language, is_whole=wish.is_whole)
            row |= {"now": shown.outcome.reason or shown.outcome.status, "regions": shown.regions}
            row |= {"support": shown.support}
            if shown.png is not None:
                write_private(wish.png, shown.png)
                row["png"] = str(wish.png)
    if as_json:
        print_row(row)
    else:
        _tell(row)
    if wish.png is not None and row["png"] is None:
        say("the pixels of this object cannot be decoded, so there is no picture")
        return 1
    if wish.is_whole:
        say(f"{wish.png} shows who the patient is; only you may read it, and you must delete it")
    return 0


def discard(start: str, settings: Settings, *, by: str, why: str, clock: Callable[[], datetime]) -> int:
    """End the waiting of one object; return the exit code.

    Raises:
        SettingsError: no such object.
        NotWaiting: something else than the crop keeps it.
    """
    with desk.reading(settings) as opened, write(opened) as connection:
        found = only(quarantined(connection, start=start), start)
        discard_row(connection, found, by=by, why=why, now=clock())
    sys.stdout.write(f"{found.digest[:SHORT]} is not analysed any more; it stays stored and is forwarded (by {by})\n")
    return 0


def row_of(one: Quarantined, language: str) -> dict[str, Any]:
    """One object as a row for people and programs; no identity."""
    reason = REASONS.get(one.reason)
    meaning = "" if reason is None else reason.meaning_zh if language == "zh" else reason.meaning
    return {
        "row": "quarantined",
        "id": one.digest[:SHORT],
        "object": one.digest,
        "study": one.study,
        "reason": one.reason,
        "meaning": meaning,
        "remedy": reason.remedy if reason is not None else "",
        "approvable": one.reason in APPROVABLE,
        "device": device_of(one),
        "rows": one.instance.rows,
        "columns": one.instance.columns,
        "frames": one.instance.frames,
        "bytes": one.size,
        "since": one.since.isoformat(),
    }


def device_of(one: Quarantined) -> str:
    """Maker and model as the object states them."""
    return f"{one.instance.manufacturer} {one.instance.model}".strip()


def only(found: list[Quarantined], start: str) -> Quarantined:
    """The one object whose digest begins so.

    Raises:
        SettingsError: there is none, or more than one.
    """
    if len(found) != 1 or not start:
        known = f"{len(found)} objects in quarantine begin" if found else "no object in quarantine begins"
        raise SettingsError(f"{known} with {start!r}; `dicom-ai quarantine list` shows them")
    return found[0]


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, also where another one lay."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)


def _tell(row: Mapping[str, Any]) -> None:
    lines = [
        f"{row['id']}  {row['device']}  {row['columns']}x{row['rows']}, {row['frames']} frames, {row['bytes']} bytes",
        f"study {row['study']}, in quarantine since {row['since'][:16]} UTC",
        f"{row['reason']}: {row['meaning']}. {row['remedy']}",
        *votes_in_words(row["votes"]),
    ]
    if "now" in row:
        lines.append(f"The crop says now: {row['now']}")
    if row["approvable"]:
        lines.append("A keep polygon may help: `dicom-ai quarantine approve`.")
    if row["png"] is not None:
        lines.append(f"picture: {row['png']}")
    sys.stdout.write("\n".join(lines) + "\n")
