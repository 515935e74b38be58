"""Sources -> the stills and clips in them, each with its key, its labels and a patient that nobody can name.

Nothing is decoded here; every file is read once for its digest. What this is not: the judgement of pixels.
"""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset

from dicom_ai.crop.catalogue import published
from dicom_ai.crop.export.pseudonym import Pseudonyms, device
from dicom_ai.errors import InputError
from dicom_ai.headers import header
from dicom_ai.store.files import part10_digest
from train.collect_key import keyed
from train.folder import is_picture
from train.labels import Reading, Told, read_labels

TABLE = "labels.csv"
UNFINISHED = ".part"
"""Files of this kind are being written, or were when a run was broken off."""

_TRANSDUCERS = ("LINEAR", "CURVED LINEAR", "SECTOR_PHASED", "SECTOR_MECH", "SECTOR_ANNULAR", "SINGLE CRYSTAL")
"""Terms of Transducer Type (0018,6031) that are taken over (PS3.3 C.8.5.6.1.8); free text might name somebody."""


@dataclass(frozen=True)
class Source:
    """One place to collect from.

    Attributes:
        name: of the collection, where the table has no column `source`.
        folder: of the files.
        table: labels, or None.
    """

    name: str
    folder: Path
    table: Path | None


@dataclass(frozen=True)
class Unit:
    """One still or clip that may become part of the data set.

    Attributes:
        id, origin, patient, source, device, probe, labels, single_sign, name: as `tables.Clip` has them.
        paths: its files, in the order of its frames.
        is_dicom: goes through the service's own crop.
        reason: "" or why it is left out.
    """

    id: str
    origin: str
    patient: str
    source: str
    paths: tuple[Path, ...] = field(repr=False)
    is_dicom: bool
    device: str = ""
    probe: str = ""
    labels: dict[str, float] = field(default_factory=dict)
    single_sign: bool = False
    name: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Rules:
    """How units are named.

    Attributes:
        key: of the site.
        reading: of the tables.
        is_harmless: file names name nobody, so the data set may repeat them.
    """

    key: bytes = field(repr=False)
    reading: Reading
    is_harmless: bool


def units_of(sources: Iterable[Source], rules: Rules) -> list[Unit]:
    """Every still and clip of every source, those that are left out already among them.

    Raises:
        LabelsError: a table cannot be used.
        OSError: a file cannot be read.
    """
    return _once([unit for source in sources for unit in _of_source(source, rules)])


def _of_source(source: Source, rules: Rules) -> Iterator[Unit]:
    told = read_labels(source.table, rules.reading) if source.table else []
    base = source.table.parent if source.table else source.folder
    for one in told:
        yield _unit(tuple(base / name for name in one.files), one, source, rules)
    named = {(base / name).resolve() for one in told for name in one.files}
    for path in sorted(source.folder.rglob("*")):
        is_there = path.is_file() and path.suffix != UNFINISHED and path.resolve() not in named
        if is_there and (is_picture(path) or _is_dicom(path)):
            is_left_out = source.table is not None or is_picture(path)
            nobody = Told((path.relative_to(source.folder).as_posix(),), "", source.name, "", "", {}, single_sign=False)
            yield _unit((path,), replace(nobody, reason="not_in_table" if is_left_out else ""), source, rules)


def _unit(paths: tuple[Path, ...], told: Told, source: Source, rules: Rules) -> Unit:
    """The unit behind one entry; what is left out already is not opened."""
    name = told.files[0] if rules.is_harmless else ""
    made = Unit(
        keyed(rules.key, "file", told.files[0])[:24], "", "", told.source or source.name, paths, is_dicom=False,
        device=told.device, probe=told.probe, labels=told.labels, single_sign=told.single_sign, name=name,
        reason=told.reason,
    )  # fmt: skip
    if not all(path.is_file() for path in paths):
        return replace(made, reason="missing_file")
    if made.reason:
        return made
    if is_picture(paths[0]):
        return _known(made, _digest_of(paths), told.patient, rules)
    return _of_dicom(made, paths, told, rules)


def _known(made: Unit, origin: str, patient: str, rules: Rules) -> Unit:
    if not patient.strip():
        return replace(made, reason="no_patient")
    return replace(made, id=origin[:24], origin=origin, patient=keyed(rules.key, "patient", patient))


def _of_dicom(made: Unit, paths: tuple[Path, ...], told: Told, rules: Rules) -> Unit:
    made = replace(made, is_dicom=True)
    try:
        ds = _header(paths[0])
        origin = part10_digest(paths[0].read_bytes())
        patient = told.patient or str(ds.get("PatientID") or "")
        named, probe = _device(ds, rules.key), _probe(ds)
    except (InputError, ValueError, TypeError, AttributeError):
        return replace(made, reason="unreadable")
    known = _known(made, origin, patient, rules)
    return replace(known, device=made.device or named, probe=made.probe or probe)


def _header(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings quote element values
        return header(path)


def _device(ds: Dataset, key: bytes) -> str:
    """Maker and model as the published list of layouts writes them; of others a keyed name, by which devices group."""
    known = frozenset((one.manufacturer, one.model) for one in published())
    return " ".join(part for part in device(ds, Pseudonyms(key.hex()), known).values() if part)


def _probe(ds: Dataset) -> str:
    said = str(ds.get("TransducerType") or "").strip()
    return said.lower() if said in _TRANSDUCERS else ""


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _digest_of(paths: Sequence[Path]) -> str:
    """SHA-256 hex of the file; of several, over their digests in order."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _once(units: list[Unit]) -> list[Unit]:
    """The same content counts once; where its copies tell different things of it, nobody knows which is true."""
    same: dict[str, list[int]] = defaultdict(list)
    for number, unit in enumerate(units):
        if unit.origin and not unit.reason:
            same[unit.origin].append(number)
    done = list(units)
    for numbers in same.values():
        told = {(units[n].patient, tuple(sorted(units[n].labels.items()))) for n in numbers}
        for number in numbers if len(told) > 1 else numbers[1:]:
            done[number] = replace(units[number], reason="copies_disagree" if len(told) > 1 else "duplicate")
    return done
