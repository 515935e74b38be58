"""Which task an object belongs to: a table of rows, the first that matches wins.

What this is not: a guess from pixels. No matching row means no task, and the object ends as `no_task`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from dicom_ai.instance import Instance
from dicom_ai.site import SiteTables

_TITLES = ("calling_ae", "called_ae")
_DESCRIPTION = "description_contains"


@dataclass(frozen=True)
class Difference:
    """Why a row did not match: one of its fields, what the row asks for and what the object has.

    `found` is None for the description: people type it and may name the patient in it.
    """

    field: str
    wanted: str
    found: str | None


@dataclass(frozen=True)
class Route:
    """One row. A field left None matches everything; all others must match.

    Attributes:
        task: "lung-signs" or "uterine-lesions".
        manufacturer, model, body_part, procedure_code: equal to the object's, ignoring case and outer spaces.
        calling_ae, called_ae: equal to the association's AE titles, with case, without outer spaces.
        description_contains: part of the study or series description, ignoring case.
    """

    task: str
    manufacturer: str | None = None
    model: str | None = None
    body_part: str | None = None
    procedure_code: str | None = None
    calling_ae: str | None = None
    called_ae: str | None = None
    description_contains: str | None = None

    @property
    def wants(self) -> dict[str, str]:
        """The fields that are set, with what they ask for, in the order of the table."""
        every = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "task"}
        return {name: value for name, value in every.items() if value is not None}

    def differences(self, instance: Instance, calling_ae: str, called_ae: str) -> tuple[Difference, ...]:
        """Every field that is set and does not fit the object and its association; none means the row matches."""
        titles = {"calling_ae": calling_ae, "called_ae": called_ae}
        found = []
        for name, wanted in self.wants.items():
            if name == _DESCRIPTION:
                texts = (instance.study_description, instance.series_description)
                if not any(_plain(wanted) in _plain(text) for text in texts):
                    found.append(Difference(name, wanted, None))
                continue
            value = titles[name] if name in _TITLES else str(getattr(instance, name))
            if _comparable(name, wanted) != _comparable(name, value):
                found.append(Difference(name, wanted, value))
        return tuple(found)

    def matches(self, instance: Instance, calling_ae: str, called_ae: str) -> bool:
        """Whether every field that is set fits the object and its association."""
        return not self.differences(instance, calling_ae, called_ae)

    def takes_all_of(self, other: "Route") -> bool:
        """Whether every object that `other` matches is matched by this row too."""
        theirs = other.wants
        for name, wanted in self.wants.items():
            if name not in theirs:
                return False
            mine, its = _comparable(name, wanted), _comparable(name, theirs[name])
            if mine not in its if name == _DESCRIPTION else mine != its:
                return False
        return True


def route(instance: Instance, calling_ae: str, called_ae: str, rows: Sequence[Route]) -> str | None:
    """The task of the first row that matches, None when none does.

    Args:
        instance: facts of the object.
        calling_ae: AE title of the sender, "" when the object came from a folder.
        called_ae: AE title it called us by, "" likewise.
        rows: in order of precedence.
    """
    return next((row.task for row in rows if row.matches(instance, calling_ae, called_ae)), None)


def rows_of(tables: SiteTables) -> tuple[Route, ...]:
    """The rows of the site's tables; there a field that is not stated is empty."""
    return tuple(
        Route(**{name: value or None for name, value in row.model_dump().items()})  # type: ignore[arg-type]
        for row in tables.routes
    )


def traps(rows: Sequence[Route]) -> tuple[str, ...]:
    """What of a table does something else than its writer may think, as sentences; rows are counted from 1."""
    found = []
    for number, row in enumerate(rows, start=1):
        earlier = next((n for n, one in enumerate(rows[: number - 1], start=1) if one.takes_all_of(row)), None)
        if earlier is not None:
            found.append(f"row {number} ({row.task}) is never reached: row {earlier} takes everything it would match")
        elif not row.wants:
            found.append(f"row {number} ({row.task}) states no field and matches every ultrasound object")
    return tuple(found)


def _comparable(name: str, text: str) -> str:
    return text.strip() if name in _TITLES else _plain(text)  # AE titles keep their case: PS3.8 gives them one


def _plain(text: str) -> str:
    return text.strip().casefold()
