"""`labels.csv` of a folder of pictures -> clips with patient, classes and what nobody asked about.

Columns `file`, `label`, `patient_or_video_id` must be there; `all_signs`, `video_id`, `source`, `single_sign`, `probe`,
`device`, `frame_index` may be. Rows of one `video_id` are the frames of one clip. A label that is mapped to no class
and not dropped by name stops everything: a class forgotten in the mapping would teach "absent". What this is not:
reading pictures.
"""

import csv
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

CLASS_IDS = {
    "lung-signs": ("a_lines", "b_lines", "pleural_effusion", "consolidation"),
    "uterine-lesions": ("endometrial_polyp", "submucous_fibroid", "normal"),
}
NO_CLASS = "none"
"""What a label is mapped to that says: somebody looked, and none of the classes is there."""

REQUIRED = ("file", "label", "patient_or_video_id")
OPTIONAL = ("all_signs", "video_id", "source", "single_sign", "probe", "device", "frame_index")

_ASKED = Path(__file__).parent / "asked"


class LabelsError(ValueError):
    """The table or the mapping cannot be used; the message says what to change."""


class Collection(BaseModel):
    """Which classes the readers of one collection were asked about.

    Attributes:
        named: part of the `source` column, upper or lower case.
        asked: class ids; of these a class that is not mentioned is absent. Of the others it is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    named: str
    asked: tuple[str, ...]


class Asked(BaseModel):
    """An `asked` table. Where there is one, a source that it does not name stops everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    collection: tuple[Collection, ...]


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes:
        task: key of `CLASS_IDS`.
        classes: label -> class id or `NO_CLASS`; class ids stand for themselves.
        drop: labels whose rows are left out.
        columns: our name of a column -> the table's.
        asked: None when every reader was asked about every class.
    """

    task: str
    classes: Mapping[str, str]
    drop: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    asked: Asked | None = None


@dataclass(frozen=True)
class Told:
    """One still or clip as the table tells of it.

    Attributes:
        files: relative to the table's folder, in the order of the frames.
        patient: as written; identity, so it is in no repr and must go into a keyed hash and nowhere else.
        source, device, probe: as written, "" where not told.
        labels: class id -> 1.0 or 0.0; a class that nobody asked about is missing.
        single_sign: exactly one class is present, and none of the others is, as far as the table or the labels say.
        reason: "" or why it is left out: "dropped_label", "labels_disagree", "no_patient".
    """

    files: tuple[str, ...]
    patient: str = field(repr=False)
    source: str
    device: str
    probe: str
    labels: dict[str, float]
    single_sign: bool
    reason: str = ""


def read_labels(file: Path, how: Reading) -> list[Told]:
    """Read a table.

    Raises:
        LabelsError: a column is missing, a label is unmapped, a source is not in the `asked` table, a path leaves the
            folder, or a file is named twice.
    """
    rows = _rows(file, how)
    _require_mapped(rows, how)
    clips: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        key = ("video", row["patient_or_video_id"], row["video_id"]) if row["video_id"] else ("file", row["file"])
        clips[key].append(row)
    return [_told(clip, how) for clip in clips.values()]


def mapping_of(texts: Sequence[str], task: str) -> dict[str, str]:
    """`a=a_lines,none=none`, or the path of a TOML file with a table `classes`, or several of both.

    Raises:
        LabelsError: not of that form, or a class the task does not have.
    """
    found = {name: name for name in CLASS_IDS[task]}
    for text in texts:
        if text.endswith(".toml"):
            found |= {str(key): str(value) for key, value in _toml(Path(text)).get("classes", {}).items()}
        else:
            found |= pairs_of(text)
    wrong = sorted({value for value in found.values() if value not in {*CLASS_IDS[task], NO_CLASS}})
    if wrong:
        raise LabelsError(
            f"--classes maps to {', '.join(wrong)}; {task} has {', '.join(CLASS_IDS[task])}, and {NO_CLASS} for none"
        )
    return found


def pairs_of(text: str) -> dict[str, str]:
    """`a=b,c=d` as a dictionary.

    Raises:
        LabelsError: not of that form.

    Examples:
        >>> pairs_of("a_line=a_lines,none=none")
        {'a_line': 'a_lines', 'none': 'none'}
    """
    pairs = [part.split("=", 1) for part in text.split(",") if part.strip()]
    if any(len(pair) != 2 or not all(one.strip() for one in pair) for pair in pairs):
        raise LabelsError(f"{text!r} is not of the form name=value,name=value")
    return {key.strip(): value.strip() for key, value in pairs}


def asked_of(name: str, task: str) -> Asked:
    """Read an `asked` table by the name of its file in `train/asked`, or by path.

    Raises:
        LabelsError: no such file, or it names a class that the task does not have.
    """
    path = Path(name) if name.endswith(".toml") else _ASKED / f"{name}.toml"
    asked = Asked.model_validate(_toml(path))
    wrong = sorted({one for part in asked.collection for one in part.asked} - set(CLASS_IDS[task]))
    if wrong:
        raise LabelsError(f"{path.name} asks about {', '.join(wrong)}, which {task} does not have")
    return asked


def _toml(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        raise LabelsError(
            f"no such file: {path}; there are: {', '.join(sorted(p.stem for p in _ASKED.glob('*.toml')))}"
        )
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _rows(file: Path, how: Reading) -> list[dict[str, str]]:
    """The rows under our names of the columns; a column that is not there is "" throughout."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        table = csv.DictReader(opened)
        there = set(table.fieldnames or ())
        raw = list(table)
    theirs = {name: how.columns.get(name, name) for name in (*REQUIRED, *OPTIONAL)}
    wrong = sorted(set(how.columns) - set(theirs))
    needed = {*REQUIRED, *how.columns} & set(theirs)
    missing = sorted(theirs[name] for name in needed if theirs[name] not in there)
    if wrong or missing:
        raise LabelsError(
            f"{file.name} lacks the columns {', '.join(missing) or '-'}; --columns knows no {', '.join(wrong) or '-'}"
        )
    rows = [{name: (row.get(column) or "").strip() for name, column in theirs.items()} for row in raw]
    files = [row["file"] for row in rows]
    if len(set(files)) != len(files) or any(_leaves(name) for name in files):
        raise LabelsError(f"{file.name} names a file twice, or none, or one outside of its folder")
    return rows


def _leaves(name: str) -> bool:
    return not name or Path(name).is_absolute() or ".." in Path(name).parts


def _signs(row: Mapping[str, str]) -> tuple[str, ...]:
    """Every label of a row: all signs where the table has them, else the one label."""
    return tuple(part.strip() for part in (row["all_signs"] or row["label"]).split(";") if part.strip())


def _require_mapped(rows: Iterable[Mapping[str, str]], how: Reading) -> None:
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        for name in {*_signs(row), row["label"]} - set(how.classes) - how.drop:
            counts[name] += 1
    if counts:
        told = ", ".join(f"{name or '(empty)'} ({count} rows)" for name, count in sorted(counts.items()))
        raise LabelsError(f"labels without a class: {told}. Map them with --classes, or leave them out with --drop")


def _told(rows: Sequence[Mapping[str, str]], how: Reading) -> Told:
    rows = sorted(rows, key=lambda row: int(row["frame_index"]) if row["frame_index"].isdigit() else 0)
    first = rows[0]
    every = [frozenset(_signs(row)) for row in rows]
    reason = ""
    if not first["patient_or_video_id"]:
        reason = "no_patient"
    elif len({*every}) > 1 or len({(row["source"], row["single_sign"]) for row in rows}) > 1:
        reason = "labels_disagree"
    elif how.drop & {*every[0], first["label"]}:
        reason = "dropped_label"
    labels = {} if reason else _labels(every[0], first["source"], how)
    return Told(
        tuple(row["file"] for row in rows), first["patient_or_video_id"], first["source"], first["device"],
        first["probe"], labels, _is_single(labels, first["single_sign"], how.task), reason,
    )  # fmt: skip


def _labels(signs: frozenset[str], source: str, how: Reading) -> dict[str, float]:
    present = {how.classes[sign] for sign in signs} - {NO_CLASS}
    asked = set(CLASS_IDS[how.task] if how.asked is None else _asked_by(source, how.asked))
    return {name: float(name in present) for name in CLASS_IDS[how.task] if name in present | asked}


def _asked_by(source: str, asked: Asked) -> tuple[str, ...]:
    for collection in asked.collection:
        if collection.named.casefold() in source.casefold():
            return collection.asked
    raise LabelsError(f"the table of what was asked names no collection for the source {source!r}")


def _is_single(labels: Mapping[str, float], stated: str, task: str) -> bool:
    """What the table states counts, but it cannot make one sign out of two; else nothing may be unknown."""
    is_one = sum(labels.values()) == 1
    return is_one and (stated == "1" if stated else len(labels) == len(CLASS_IDS[task]))
