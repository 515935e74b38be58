"""Files and folders a person names become C-STOREs and one row each, one association per study.

What this is not: a delivery with a ledger. Every file is tried once; the row says what happened.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicom_ai.deliver.negotiate import split_into_associations
from dicom_ai.deliver.send import Item, Outcome, Sender, deliver_batch
from dicom_ai.errors import PeerError, PeerUnreachable, SettingsError
from dicom_ai.ports import Node
from dicom_ai.settings import Deliver

_DICOMDIR = "1.2.840.10008.1.3.10"  # an index of files, no object
_HEADER = ["SOPInstanceUID", "StudyInstanceUID"]


@dataclass(frozen=True)
class _File:
    item: Item
    sop_uid: str
    study: str


def send_paths(
    paths: Sequence[Path], node: Node, settings: Deliver, *, from_ae: str | None = None
) -> Iterator[dict[str, Any]]:
    """Send files, and what lies in folders, to a node.

    Args:
        paths: files and folders; a folder stands for every file under it, sorted.
        node: whom to send to.
        settings: our AE title and the time limits.
        from_ae: another AE title of ours, for nodes that know us by it.

    Yields:
        Rows {"file", "status": "sent" | "failed" | "skipped", "reason", "sop_uid", "dimse", "detail"}: unreadable and
        skipped files first, then study by study. `reason` is a code of `errors.REASONS`, `dimse` the status of the
        response as "0xNNNN"; both and `detail` are None where they say nothing.

    Raises:
        SettingsError: a path does not exist, or nothing was named.
    """
    sender = Sender(settings.model_copy(update={"ae_title": from_ae}) if from_ae else settings)
    studies: dict[str, list[_File]] = {}
    for number, path in enumerate(_files_of(paths)):
        read = _read(number, path)
        if isinstance(read, _File):
            studies.setdefault(read.study, []).append(read)
        else:
            yield read
    unreachable: PeerUnreachable | None = None
    for files in studies.values():
        if unreachable is not None:  # calling again for every study would take its time limit every time
            yield from (_failed(file, unreachable) for file in files)
            continue
        for file, outcome in _send_study(sender, node, files):
            if isinstance(outcome, PeerUnreachable):
                unreachable = outcome
            yield _row(file, outcome) if isinstance(outcome, Outcome) else _failed(file, outcome)


def _send_study(sender: Sender, node: Node, files: list[_File]) -> Iterator[tuple[_File, Outcome | PeerError]]:
    for wanted in split_into_associations((file.item.sop_class, file.item.transfer_syntax) for file in files):
        group = [file for file in files if (file.item.sop_class, file.item.transfer_syntax) in wanted]
        try:
            with sender.associate(node, wanted) as association:
                yield from zip(group, deliver_batch(association, [file.item for file in group]), strict=True)
        except PeerError as exc:
            yield from ((file, exc) for file in group)


def _files_of(paths: Iterable[Path]) -> Iterator[Path]:
    is_empty = True
    for path in paths:
        is_empty = False
        if path.is_dir():
            yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
        elif path.exists():
            yield path
        else:
            raise SettingsError(f"{path}: no such file or folder")
    if is_empty:
        raise SettingsError("name at least one file or folder to send")


def _read(number: int, path: Path) -> _File | dict[str, Any]:
    row = {"file": str(path), "status": "failed", "reason": "unreadable", "sop_uid": None, "dimse": None}
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER))
        meta = header.file_meta
        sop_class, syntax = str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
        study = str(header.get("StudyInstanceUID", "")).strip(" \0")
        sop_uid = str(meta.MediaStorageSOPInstanceUID)
    except OSError as exc:
        return {**row, "detail": exc.strerror}
    except (InvalidDicomError, AttributeError, ValueError, EOFError, KeyError, NotImplementedError, struct.error):
        return {**row, "detail": "not a DICOM file with File Meta Information"}
    if sop_class == _DICOMDIR:
        return {**row, "status": "skipped", "reason": None, "detail": "a DICOMDIR is an index of files, no object"}
    return _File(Item(number, path, sop_class, syntax), sop_uid, study)


def _row(file: _File, outcome: Outcome) -> dict[str, Any]:
    is_sent = outcome.state == "sent"
    return {
        "file": str(file.item.path),
        "status": "sent" if is_sent else "failed",
        "reason": None if is_sent else outcome.reason or _reason_of_a_single_try(outcome),
        "sop_uid": file.sop_uid,
        "dimse": None if outcome.status is None else f"0x{outcome.status:04X}",
        "detail": None,
    }


def _reason_of_a_single_try(outcome: Outcome) -> str:
    """Queued means a later attempt, and here there is none."""
    return "attempts_spent" if outcome.status is None else "peer_failed"


def _failed(file: _File, why: PeerError) -> dict[str, Any]:
    return {
        "file": str(file.item.path),
        "status": "failed",
        "reason": why.reason,
        "sop_uid": file.sop_uid,
        "dimse": None,
        "detail": str(why),
    }
