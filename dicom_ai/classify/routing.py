"""Which task an object belongs to: a table of rows, the first that matches wins.

What this is not: a guess from pixels. No matching row means no task, and the object ends as `no_task`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dicom_ai.instance import Instance


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

    def matches(self, instance: Instance, calling_ae: str, called_ae: str) -> bool:
        """Whether every field that is set fits the object and its association."""
        facts = (
            (self.manufacturer, instance.manufacturer),
            (self.model, instance.model),
            (self.body_part, instance.body_part),
            (self.procedure_code, instance.procedure_code),
        )
        if any(wanted is not None and _plain(wanted) != _plain(found) for wanted, found in facts):
            return False
        # AE titles are compared as they are: PS3.8 gives them case
        titles = ((self.calling_ae, calling_ae), (self.called_ae, called_ae))
        if any(wanted is not None and wanted.strip() != found.strip() for wanted, found in titles):
            return False
        if self.description_contains is None:
            return True
        wanted = _plain(self.description_contains)
        return any(wanted in _plain(text) for text in (instance.study_description, instance.series_description))


def route(instance: Instance, calling_ae: str, called_ae: str, rows: Sequence[Route]) -> str | None:
    """The task of the first row that matches, None when none does.

    Args:
        instance: facts of the object.
        calling_ae: AE title of the sender, "" when the object came from a folder.
        called_ae: AE title it called us by, "" likewise.
        rows: in order of precedence.
    """
    return next((row.task for row in rows if row.matches(instance, calling_ae, called_ae)), None)


def _plain(text: str) -> str:
    return text.strip().casefold()
