"""De-identified objects to a folder: built, written, read back, proven; a failed proof leaves no file.

One object at a time: the bytes lie under a temporary name until they are proven. Beside them `manifest.jsonl` says
for each object how the result maps back onto its source. What this is not: a way out for objects that wait for a
person; quarantined ones have a line and no file.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset

from dicom_ai import __version__
from dicom_ai.crop.catalogue import published
from dicom_ai.crop.export.build import VERSION, Site, build, mask_digest, replaced
from dicom_ai.crop.export.proof import Finder, Made, prove
from dicom_ai.crop.export.pseudonym import Pseudonyms
from dicom_ai.crop.export.search import in_text, long_ones
from dicom_ai.crop.words import identity_bytes
from dicom_ai.errors import InputError, ResourceError
from dicom_ai.headers import header
from dicom_ai.kept import CropOutcome, Kept

MANIFEST = "manifest.jsonl"
EVERY_FRAME = 1 << 30
"""A limit of frames that is none."""

Reread = Callable[[Path], bytes]


class Exporter:
    """Writes exported objects of one site into one folder.

    Args:
        folder: made when it is not there, for its owner only.
        secret: of the site (`SiteId.namespace`).
        reader: finds text in pictures.
        reread: how written bytes are read back; another one shows in a test what the proof is for.
    """

    def __init__(self, folder: Path, secret: str, reader: Finder, *, reread: Reread = Path.read_bytes) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._manifest = Manifest(folder / MANIFEST)
        except OSError as exc:
            raise ResourceError(f"the folder for exports cannot be used ({type(exc).__name__})") from exc
        known = frozenset((one.manufacturer, one.model) for one in published())
        self._folder, self._reader, self._reread = folder, reader, reread
        self._site = Site(Pseudonyms(secret), known)

    def add(self, path: Path, outcome: CropOutcome, kept: Kept | None) -> tuple[CropOutcome, Path | None]:
        """Export one object and note it.

        Args:
            path: of the source.
            outcome: of the crop.
            kept: every frame, where there is something to export.

        Returns:
            The outcome, which is "quarantined" with "proof_failed" where the proof failed (the codes of `proof.prove`
            are in its votes under "proof"), or "failed" with "conflict" where another object stands under the name;
            and the written file, or None.

        Raises:
            ResourceError: the folder cannot be written; nothing unproven is left in it.
            ModelError: the reader does not read.
        """
        try:
            return self._add(path, outcome, kept)
        except OSError as exc:
            raise ResourceError(f"the folder for exports cannot be written ({type(exc).__name__})") from exc

    def _add(self, path: Path, outcome: CropOutcome, kept: Kept | None) -> tuple[CropOutcome, Path | None]:
        name = self._site.keys.file_name("object", _digest(path))
        written = None
        if kept is not None:
            try:
                source = _header(path)
                outcome, written = self._write(source, kept)
                line = _line(name, outcome, written)
                if _names_somebody(line, source):  # what a person called a layout, for one
                    line |= {"votes": None}
            except InputError as exc:
                outcome = replace(outcome, status="failed", reason=exc.reason)
                line = _line(name, outcome, None)
        else:
            line = _line(name, outcome, None)
        stale = self._manifest.put(line)
        if stale is not None and outcome.status != "failed":  # of an earlier export of the same object
            (self._folder / stale).unlink(missing_ok=True)
        return outcome, written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the manifest into its final form."""
        self._manifest.compact()

    def _write(self, source: Dataset, kept: Kept) -> tuple[CropOutcome, Path | None]:
        uid = replaced(source, kept, self._site)["SOPInstanceUID"]
        target = self._folder / f"{self._site.keys.file_name('instance', uid)}.dcm"
        data = build(source, kept, self._site)
        if target.exists() and self._reread(target) != data:
            return replace(kept.outcome, status="failed", reason="conflict"), None
        aside = target.with_suffix(".part")
        _write_aside(aside, data)
        del data  # a long clip lies in memory often enough
        try:
            failures = prove(Made(self._reread(aside), source, kept, self._site), self._reader)
            if failures:
                target.unlink(missing_ok=True)
                return _unproven(kept.outcome, failures), None
            aside.rename(target)
        finally:
            aside.unlink(missing_ok=True)
        _sync(self._folder)
        return kept.outcome, target


class Manifest:
    """One JSON line per object; the latest of an object counts. Lines are whole, whenever the end comes."""

    def __init__(self, path: Path) -> None:
        """Read what earlier exports wrote; half a line at the end is what a broken-off run leaves."""
        self._path = path
        self._lines: dict[str, dict[str, Any]] = {}
        for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            self._lines[line["object"]] = line
        self.compact()

    def put(self, line: dict[str, Any]) -> str | None:
        """Add the line of an object; the name of the file that no line speaks of any more, if there is one."""
        before = self._lines.get(line["object"], {}).get("output")
        self._lines[line["object"]] = line
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return None if any(one["output"] == before for one in self._lines.values()) else before

    def compact(self) -> None:
        """Write the lines anew, one per object, and take the place of the file in one step."""
        aside = self._path.with_suffix(".part")
        _write_aside(aside, b"".join(json.dumps(line).encode() + b"\n" for line in self._lines.values()))
        aside.rename(self._path)
        _sync(self._path.parent)


def _unproven(outcome: CropOutcome, failures: tuple[str, ...]) -> CropOutcome:
    votes = (outcome.votes or {}) | {"proof": list(failures)}
    size = outcome.rows, outcome.columns, outcome.frames
    return CropOutcome("quarantined", "proof_failed", *size, votes=votes)


def _line(name: str, outcome: CropOutcome, written: Path | None) -> dict[str, Any]:
    """What the manifest says of one object; no identity, and nothing of the source's path."""
    row = outcome.row()
    x0, y0, x1, y1 = outcome.box or (0, 0, 0, 0)
    return {
        "schema_version": 1,
        "object": name,
        "output": written.name if written else None,
        "status": outcome.status,
        "reason": outcome.reason,
        "source": {"rows": outcome.rows, "columns": outcome.columns, "frames": outcome.frames},
        "crop": {"x": x0, "y": y0, "rows": y1 - y0, "columns": x1 - x0} if outcome.box else None,
        "keep": row["keep"],
        "blanked": row["blanked"],
        "mask_sha256": mask_digest(outcome) if outcome.box else None,
        "votes": row["votes"],
        "versions": {"dicom_ai": __version__, "export": VERSION},
    }


def _names_somebody(line: dict[str, Any], source: Dataset) -> bool:
    return in_text(json.dumps(line, ensure_ascii=False).encode(), long_ones(identity_bytes(source)))


def _header(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings quote element values
        return header(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_aside(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
