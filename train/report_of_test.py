"""The few fields of an evaluation's `report.json` that a promotion stands on, and whether one is worse than another.

`evaluate` writes many more; what is not named here is left alone. A number that is null was not estimable.

    {"schema_version": 1, "model": {"weights": SHA-256}, "data": {"digest"}, "split": {"digest"},
     "metrics": {"macro": {"auc", "f1"}, "per_class": {CLASS: {"auc", "f1", "n"}}}}

What this is not: the evaluation, or a judgement of a model for itself. Only the same locked test set can be compared.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

REPORT = "report.json"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class NoEvidence(ValueError):
    """The report does not prove what a promotion needs."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Weights(_Part):
    """Which model was evaluated: SHA-256 of its weights file."""

    weights: Sha256


class Digest(_Part):
    """Of a data set, or of how it was divided."""

    digest: Sha256


class Figures(_Part):
    """Area under the ROC curve and F1 at the card's threshold on the locked test set; null where not estimable."""

    auc: Share | None
    f1: Share | None


class ClassFigures(Figures):
    """The same of one class, and how many units of the test set were asked about it."""

    n: int = Field(ge=0)


class Metrics(_Part):
    """On the locked test set."""

    macro: Figures
    per_class: Mapping[str, ClassFigures]


class TestReport(_Part):
    """What a promotion reads of a `report.json`."""

    __test__ = False  # pytest would take it for a test

    schema_version: Literal[1]
    model: Weights
    data: Digest
    split: Digest
    metrics: Metrics

    @property
    def rows(self) -> dict[str, Figures]:
        """Macro and every class, by name."""
        return {"macro": self.metrics.macro, **dict(sorted(self.metrics.per_class.items()))}


def read_report(content: bytes) -> TestReport:
    """Read a `report.json`.

    Raises:
        NoEvidence: a field a promotion needs is missing or wrong; the first one is named.
    """
    try:
        told: Any = json.loads(content)
        return TestReport.model_validate(told)
    except ValidationError as exc:
        error = exc.errors()[0]
        where = ".".join(str(part) for part in error["loc"])
        raise NoEvidence(f"{REPORT}: {where}: {error['msg']}") from exc
    except ValueError as exc:
        raise NoEvidence(f"{REPORT} is not JSON") from exc


def require_evidence(report: TestReport, weights: str, class_ids: tuple[str, ...]) -> None:
    """The report must be of these weights and speak of every class of the card.

    Raises:
        NoEvidence: it is of another model, or a class is missing.
    """
    if report.model.weights != weights:
        raise NoEvidence(f"{REPORT} is of weights {report.model.weights[:12]}, this model has {weights[:12]}")
    missing = sorted(set(class_ids) - set(report.metrics.per_class))
    if missing:
        raise NoEvidence(f"{REPORT} does not say how good the model is at {', '.join(missing)}")


def worse(report: TestReport, parent: TestReport, margin: float) -> list[str]:
    """Every figure that is lower than the parent's by more than `margin`, or gone, as sentences; none is well.

    Raises:
        NoEvidence: the two were not measured on the same locked test set.
    """
    for what, mine, its in (("data", report.data, parent.data), ("split", report.split, parent.split)):
        if mine.digest != its.digest:
            raise NoEvidence(
                f"the parent was measured on {what} {its.digest[:12]}, this model on {mine.digest[:12]}: evaluate "
                "both on one locked test set"
            )
    found = []
    for name, before in parent.rows.items():
        after = report.rows.get(name)
        for figure in ("auc", "f1"):
            old = getattr(before, figure)
            new = getattr(after, figure, None)
            if old is None:
                continue
            if new is None:
                found.append(f"{name}: {figure} was {old:.3f} and is not stated any more")
            elif new < old - margin - 1e-9:  # the edge itself passes: 0.90 - 0.02 is not exactly 0.88
                found.append(f"{name}: {figure} fell from {old:.3f} to {new:.3f}")
    return found
