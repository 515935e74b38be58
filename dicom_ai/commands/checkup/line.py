"""One line of the doctor: what was looked at, how it is, and what to do when it is not well."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from dicom_ai.errors import DicomAIError
from dicom_ai.log import told


@dataclass(frozen=True)
class Check:
    """A finding of the doctor.

    Attributes:
        check: name of what was looked at.
        status: "failed" needs mending before the service is well; "warning" is worth a look.
        detail: what was found.
        remedy: what to do; empty when nothing is.
    """

    check: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""


def ok(check: str, detail: str) -> Check:
    """All is well."""
    return Check(check, "ok", detail)


def warning(check: str, detail: str, remedy: str) -> Check:
    """Worth a look."""
    return Check(check, "warning", detail, remedy)


def failed(check: str, detail: str, remedy: str) -> Check:
    """Needs mending."""
    return Check(check, "failed", detail, remedy)


def guarded(check: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What a look finds; a look that itself fails is a finding too, never a traceback."""
    try:
        yield from look()
    except DicomAIError as exc:
        yield failed(check, str(exc), "Mend what the text names and look again.")
    except Exception as exc:  # noqa: BLE001 - the doctor must reach the other checks
        yield failed(check, f"could not be looked at ({told(exc)})", "Report this with the version of dicom-ai.")
