"""The commands `models list`, `verify`, `activate` and `retire`: which models are here, are they sound, which answers.

What this is not: keys (`model_keys`), or the making and signing of a model (`train`).
"""

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_ai.classify.catalogue import Installed, folders, read_installed, with_digest
from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.shelf import Shelf, shelf
from dicom_ai.classify.trust import Keys, trusted, unreadable_keys
from dicom_ai.commands.desk import named_there, reading
from dicom_ai.errors import DeviceUnavailable, ModelError
from dicom_ai.groundwork import prepare
from dicom_ai.report.code import class_terms
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.store import model_rows
from dicom_ai.store.database import open_engine, write
from dicom_ai.store.model_rows import Candidate

Row = dict[str, Any]


def list_models(settings: Settings, *, as_json: bool) -> int:
    """Print every model folder: grade, who signed it, whether it answers; 1 when a task's model is refused."""
    named = named_there(settings)
    on_shelf, keys = shelf(named, settings.store.data), trusted(settings.store.data)
    roles = {row.digest: row.role for row in named}
    rows = [_row(folder, keys, on_shelf, roles) for folder in folders(settings.store.data)]
    refused = [{"row": "task", "task": task, "fault": str(exc)} for task, exc in sorted(on_shelf.refused.items())]
    if as_json:
        for row in [*rows, *refused]:
            print_row(row)
        return int(bool(refused))
    for path in unreadable_keys(settings.store.data):
        say(f"{path} is no readable public key, and vouches for nothing")
    columns = ("folder", "task", "version", "card", "grade", "signed by", "role", "fault")
    lines = [
        (row["folder"], row["task"], row["version"], (row["digest"] or "")[:12], row["grade"], row["who"],
         "answers" if row["answers"] else row["role"], row["fault"])
        for row in rows
    ]  # fmt: skip
    print_table("Models", columns, lines)
    for row in refused:
        sys.stdout.write(f"{row['task']}: nothing answers. {row['fault']}\n")
    return int(bool(refused))


def _row(folder: Path, keys: Keys, on_shelf: Shelf, roles: dict[str, str]) -> Row:
    row: Row = dict.fromkeys(("task", "name", "version", "digest", "grade", "who", "when", "key", "role", "fault"))
    row = {"row": "model", "folder": str(folder)} | row | {"answers": False}
    try:
        one = read_installed(folder, keys)
    except ModelError as exc:
        return row | {"fault": exc.detail}
    card, proof = one.card, one.vouched
    row |= {"task": card.task, "name": card.name, "version": card.version, "digest": card.digest, "grade": card.grade}
    row |= {"role": roles.get(card.digest), "answers": on_shelf.answering.get(card.task) == card.digest}
    if proof is not None:
        row |= {"who": proof.who, "when": proof.when, "key": proof.key}
    try:
        one.require_trust()
    except ModelError as exc:
        row |= {"fault": exc.detail}
    return row


def verify(target: str | None, settings: Settings, *, as_json: bool) -> int:
    """Check signature, files and device of one model (folder or digest) or of all; 1 when one does not hold."""
    where = folders(settings.store.data) if target is None else (_folder_of(target, settings),)
    keys, failed = trusted(settings.store.data), 0
    for folder in where:
        said, fault = "", ""
        try:
            one = read_installed(folder, keys).require_trust()
            said = f"{one.card.task}, card {one.card.digest[:12]}, grade {one.grade}, {_prove(one, settings)}"
        except (ModelError, DeviceUnavailable) as exc:
            fault = exc.detail
            failed += 1
        if as_json:
            print_row({"folder": str(folder), "status": "failed" if fault else "ok", "detail": fault or said})
        else:
            sys.stdout.write(f"{'FAILED' if fault else 'OK':7}{folder.name}: {fault or said}\n")
    return int(failed > 0)


def activate(target: str, settings: Settings, *, by: str, clock: Callable[[], datetime]) -> int:
    """Let a model answer for its task: signature, files and device are checked first.

    Raises:
        ModelError: there is no such model, or it is refused; nothing has changed then.
    """
    folder = _folder_of(target, settings)
    one = read_installed(folder, trusted(settings.store.data)).require_trust()
    if folder not in folders(settings.store.data):
        raise ModelError(
            f"{folder} is not in {settings.store.data / 'models'}; copy the folder there, then activate it"
        )
    _prove(one, settings)
    prepare(settings)
    opened = open_engine(settings.database_url)
    try:
        with write(opened) as connection:
            candidate = Candidate(one.card.digest, one.card.task, one.grade)
            is_new = model_rows.activate(connection, candidate, by=by, now=clock())
    finally:
        opened.dispose()
    said = "answers" if is_new else "answers already"
    sys.stdout.write(f"{one.card.name} {one.card.version} {said} for {one.card.task}, grade {one.grade}\n")
    return 0


def retire(digest: str, settings: Settings, *, by: str, clock: Callable[[], datetime]) -> int:
    """Let a model be used no more. Errors as `model_rows.retire`."""
    with reading(settings) as opened, write(opened) as connection:
        row = model_rows.retire(connection, digest, by=by, now=clock())
        is_answered = any(
            other.role == model_rows.CHAMPION for other in model_rows.rows(connection) if other.task == row.task
        )
    sys.stdout.write(f"card {row.digest[:12]} is used no more\n")
    if not is_answered:
        sys.stdout.write(f"nothing answers for {row.task} now; activate another model, see `dicom-ai models list`\n")
    return 0


def _prove(one: Installed, settings: Settings) -> str:
    """Load the model as the service does; say on which device it was proven."""
    for stated in one.card.classes:
        class_terms(stated.id, stated.code.value, stated.code.scheme)
    classifier = Classifier(one.folder, card=one.card, device=settings.classify.device)
    return f"files and vectors are the card's on {classifier.device}"


def _folder_of(target: str, settings: Settings) -> Path:
    """The folder someone means: a path with a card, or a card digest or its beginning."""
    path = Path(target)
    if (path / "card.json").is_file():
        return path
    there = []
    for folder in folders(settings.store.data):
        try:
            there.append(read_installed(folder))
        except ModelError:
            continue  # it has no digest to be called by; `models list` shows what is wrong with it
    return with_digest(target, there).folder
