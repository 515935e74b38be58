"""The command `analyse`: the service's own stages over files, without service, ledger or PACS.

What a file says here is what the service would say. Rows go to standard output as they come: one per file, then one
per source set. Nothing is sent, and nothing is written but what was asked for.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom.dataset import Dataset

from dicom_ai.analysis import Analyst, Case, Examined, Heat, Style
from dicom_ai.classify.routing import Route, route, rows_of
from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.shelf import Shelf
from dicom_ai.commands.desk import approved_there, shelf_there
from dicom_ai.commands.offline_crop import files_of
from dicom_ai.crop.cropper import Cropper
from dicom_ai.cropping import cropper_of
from dicom_ai.errors import (
    InputError,
    ModelError,
    NonFiniteOutput,
    ResourceError,
    SettingsError,
    UnreadableInstance,
)
from dicom_ai.evidence import left_out
from dicom_ai.finding import FrameScore
from dicom_ai.headers import header
from dicom_ai.instance import BARRED, Identity, Instance
from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.report.header import part10
from dicom_ai.report.structured import SR_CLASSES, structured_report
from dicom_ai.reporting import Reporter
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.site import read_site
from dicom_ai.store.analyses import outcome_digest
from dicom_ai.store.files import part10_digest
from dicom_ai.store.site_id import SiteId
from dicom_ai.store.workfiles import WorkFiles

_STATUS = {"cropped": "analysed", "quarantined": "quarantined", "failed": "failed"}
_SKIPPED = BARRED | {"no_task"}  # nothing is wrong with the file, it is not ours


@dataclass(frozen=True)
class Request:
    """What `analyse` is asked for."""

    paths: tuple[Path, ...]
    out: Path
    task: str | None
    model: Path | None
    time: str | None


@dataclass(frozen=True)
class _File:
    """One input file and what is known of it before it is cropped."""

    path: Path
    digest: str
    instance: Instance
    patient: str  # SHA-256 of the Patient ID; the id itself goes nowhere


def analyse(request: Request, settings: Settings, *, as_json: bool) -> int:
    """Analyse files and write reports and captures; 1 when a file could not be read or a set could not be reported."""
    paths = files_of(request.paths)
    request.out.mkdir(parents=True, exist_ok=True)
    layouts = approved_there(settings)
    with (
        cropper_of(settings, lambda: layouts) as cropper,
        TemporaryDirectory(prefix="dicom-ai-") as folder,
    ):
        run = _Run(request, settings, cropper, WorkFiles(Path(folder)))
        rows = []
        for row in run.rows(paths):
            rows.append(row)
            if as_json:
                print_row(row)
    if not as_json:
        _print_tables(rows)
    return int(any(row.get("status") == "failed" for row in rows))


class _Run:
    """One call of `analyse`. Kept pixels wait in work files: a folder of clips does not fit into memory."""

    def __init__(self, request: Request, settings: Settings, cropper: Cropper, work: WorkFiles) -> None:
        self._request, self._settings, self._work = request, settings, work
        models = shelf_there(settings, request.model)
        _require_task(models, request.task)
        self._routes = _routes()
        # The namespace is fixed: the same files give the same UIDs on every machine, and never those of a service.
        site = SiteId(store_id="offline", namespace=hashlib.sha256(b"dicom-ai offline").hexdigest())
        self._analyst = Analyst(
            cropper,
            lambda one: Classifier(one.folder, card=one.card, device=settings.classify.device),
            lambda: models,
            site=site,
            station=settings.site.name,
            style=Style.of(settings),
        )

    def rows(self, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
        """One row per file, then one per source set."""
        sets: dict[tuple[str, str, str], list[_File]] = defaultdict(list)
        outcomes: dict[Path, CropOutcome] = {}
        seen: dict[str, str] = {}
        for path in paths:
            file, row = self._examine(path, outcomes)
            if file is not None and seen.setdefault(file.instance.sop_instance_uid, file.digest) != file.digest:
                # as in the service: of two contents under one UID the first speaks, the other is shown to a person
                file, row = None, row | {"status": "quarantined", "reason": "conflict"}
            yield row
            if file is not None:
                sets[file.instance.study_instance_uid, file.patient, row["task"]].append(file)
        for (_, _, task), members in sorted(sets.items()):
            yield self._row(task, _distinct(members), outcomes)

    def _examine(self, path: Path, outcomes: dict[Path, CropOutcome]) -> tuple[_File | None, dict[str, Any]]:
        row = {"row": "file", "file": str(path), "status": "failed", "reason": "unreadable", "set": None, "task": None}
        try:
            ds = header(path)
            file = _file(path, ds)
        except (UnreadableInstance, OSError):
            return None, row
        task = self._request.task or route(file.instance, "", "", self._routes)
        if not file.instance.is_ultrasound or task is None:
            return None, row | {"status": "skipped", "reason": file.instance.barred or "no_task"}
        try:
            model = self._analyst.model_for(task)
        except ModelError as exc:  # of another task than the model that was named
            return None, row | {"status": "quarantined", "reason": exc.reason, "task": task}
        outcome, kept = self._analyst.crop(path, model)
        if kept is not None:
            self._work.save(file.digest, kept, {})
        status = "skipped" if outcome.reason in _SKIPPED else _STATUS[outcome.status]
        outcomes[path] = outcome
        set_id = _set_id(file, task)
        return file, row | {"status": status, "reason": outcome.reason, "set": set_id, "task": task}

    def _row(self, task: str, members: Sequence[_File], outcomes: Mapping[Path, CropOutcome]) -> dict[str, Any]:
        """The row of a set; one that fails says so and leaves the others alone."""
        try:
            return self._report(task, members, outcomes)
        except InputError as exc:
            return {
                "row": "set",
                "set": _set_id(members[0], task),
                "task": task,
                "study": members[0].instance.study_instance_uid,
                "members": [file.instance.sop_instance_uid for file in members],
                "status": "failed",
                "reason": exc.reason,
            }

    def _report(self, task: str, members: Sequence[_File], outcomes: Mapping[Path, CropOutcome]) -> dict[str, Any]:
        model = self._analyst.model_for(task)
        examined = []
        for file in members:
            outcome = outcomes[file.path]
            frames: tuple[FrameScore, ...] = ()
            found = self._work.load(file.digest, outcome)
            if found is not None:
                try:
                    scores = self._analyst.score(found[0], model)
                    frames = scores.frames
                    self._work.save(file.digest, found[0], scores.heat)
                except NonFiniteOutput as exc:  # as in the service: this image is left out, the others are reported
                    outcome = left_out(outcome, exc.reason or "non_finite")
            examined.append(Examined(file.digest, file.instance, outcome, outcome_digest(outcome), frames))
        case = Case(task, tuple(examined), 1, self._time(members))
        row = self._write(case, model, members)
        for file in members:
            self._work.remove(file.digest)
        return row

    def _pixels(self, member: Examined) -> tuple[Kept, Heat]:
        found = self._work.load(member.digest, member.outcome)
        if found is None:
            raise ResourceError("a work file is gone")
        return found

    def _write(self, case: Case, model: str, members: Sequence[_File]) -> dict[str, Any]:
        paths = {file.digest: file.path for file in members}
        reporter = Reporter(self._analyst, case, model)
        captures, headers = [], []
        for picture in reporter.pictures(self._pixels, lambda digest: paths[digest]):
            captures.append(_write(self._request.out, picture.uid, picture.part10))
            headers.append(picture.ds)
        content = reporter.content()
        evidence = [header(file.path) for file in members]
        report = structured_report(content, evidence, headers, sop_class=SR_CLASSES[0])
        sr = _write(self._request.out, str(report.SOPInstanceUID), part10(report))
        return {
            "row": "set",
            "set": _set_id(members[0], case.task),
            "task": case.task,
            "study": members[0].instance.study_instance_uid,
            "members": [file.instance.sop_instance_uid for file in members],
            "excluded": [{"sop": one.sop_instance_uid, "reason": one.reason} for one in content.skipped],
            "model": model,
            "grade": content.analysis.model.grade,
            "findings": [finding.row() for finding in content.findings],
            "sr": sr,
            "captures": captures,
            "predecessor": None,
        }

    def _time(self, members: Sequence[_File]) -> datetime:
        if self._request.time:
            try:
                return datetime.strptime(self._request.time, "%Y%m%d%H%M%S")  # noqa: DTZ007 - the sources' own zone
            except ValueError as exc:
                raise SettingsError(f"--time {self._request.time!r} is not YYYYMMDDHHMMSS") from exc
        times = [file.instance.taken_at for file in members if file.instance.taken_at]
        return max(times, default=datetime(1970, 1, 1))  # noqa: DTZ001 - no source states a time


def _file(path: Path, ds: Dataset) -> _File:
    instance = Instance.of(ds, str(ds.file_meta.get("TransferSyntaxUID", "")) if hasattr(ds, "file_meta") else "")
    if not instance.sop_instance_uid or not instance.study_instance_uid:
        raise UnreadableInstance("no SOP or Study Instance UID")
    patient = hashlib.sha256(Identity.of(ds).patient_id.encode()).hexdigest()
    return _File(path, part10_digest(path.read_bytes()), instance, patient)


def _distinct(members: Sequence[_File]) -> list[_File]:
    """One file per SOP Instance UID (the same object may lie there twice), in the scanner's order."""
    by_uid = {file.instance.sop_instance_uid: file for file in members}
    return sorted(by_uid.values(), key=lambda one: one.instance.place)


def _set_id(file: _File, task: str) -> str:
    said = f"{file.instance.study_instance_uid}\0{file.patient}\0{task}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _routes() -> Sequence[Route]:
    """Routes for files: those of the site file in the working folder, if there is one."""
    path = Path("deploy/site.toml")
    if not path.is_file():
        return []
    return rows_of(read_site(path))


def _require_task(models: Shelf, task: str | None) -> None:
    """Check early: a wrong --model or --task is a usage error, not a row."""
    if not models.tasks:
        raise models.broken or ModelError("no model is installed")
    for fault in models.refused.values():
        say(str(fault))
    if task is None:
        return
    if task not in models.tasks:
        raise SettingsError(f"no installed model answers for task {task!r}; there are models for {list(models.tasks)}")
    models.answers(task)


def _write(folder: Path, uid: str, data: bytes) -> str:
    path = folder / f"{uid}.dcm"
    path.write_bytes(data)
    return str(path)


def _print_tables(rows: Sequence[Mapping[str, Any]]) -> None:
    files = [row for row in rows if row["row"] == "file"]
    lines = [(row["file"], row["status"], row["reason"], row["task"]) for row in files]
    print_table("Files", ("file", "status", "reason", "task"), lines)
    for row in rows:
        if row["row"] == "set" and row.get("status") == "failed":
            print_table(f"Set {row['set']}  {row['task']}", ("status", "reason"), [(row["status"], row["reason"])])
        elif row["row"] == "set":
            found = [(f["class"], f["state"], f"{100 * f['probability']:.1f} %") for f in row["findings"]]
            print_table(f"Set {row['set']}  {row['task']}  SR {row['sr']}", ("class", "state", "probability"), found)
