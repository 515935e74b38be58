"""The registry of models: which card answers for a task, since when and by whose word.

One champion per task; the one before it becomes former and may finish what it began; a retired model may not be used.
What this is not: the folders (`classify.shelf` finds them and checks who vouches), or a copy of a card.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from dicom_ai.errors import DicomAIError
from dicom_ai.store import events
from dicom_ai.store.tables import models

CHAMPION, FORMER, RETIRED = "champion", "former", "retired"


class NotNamed(DicomAIError):
    """The registry has no such model."""


@dataclass(frozen=True)
class Candidate:
    """A model to answer for a task: card digest, task, and the grade its signature proves."""

    digest: str
    task: str
    grade: str


def rows(connection: Connection) -> Sequence[Row[Any]]:
    """Every row, by task, the latest first."""
    return connection.execute(select(models).order_by(models.c.task, models.c.since.desc(), models.c.digest)).all()


def activate(connection: Connection, candidate: Candidate, *, by: str, now: datetime) -> bool:
    """Let a model answer for its task from now on; False when it does so already.

    Args:
        connection: with a write transaction open.
        candidate: proven by the caller.
        by: who decides.
        now: aware time.
    """
    mine = (models.c.digest == candidate.digest) & (models.c.task == candidate.task)
    standing = connection.execute(select(models).where(mine)).first()
    if standing is not None and (standing.role, standing.grade) == (CHAMPION, candidate.grade):
        return False
    others = (models.c.task == candidate.task) & (models.c.role == CHAMPION)
    connection.execute(update(models).where(others).values(role=FORMER))
    connection.execute(delete(models).where(mine))
    values = {"digest": candidate.digest, "task": candidate.task, "grade": candidate.grade}
    connection.execute(insert(models).values(**values, role=CHAMPION, since=now, by=by))
    events.add(connection, now, "model_activated", {**values, "by": by})
    return True


def retire(connection: Connection, digest: str, *, by: str, now: datetime) -> Row[Any]:
    """Let a model be used no more, not even for what it began; return its row as it stood.

    Args:
        connection: with a write transaction open.
        digest: of the card, or its beginning, at least 8 digits.
        by: who decides.
        now: aware time.

    Raises:
        NotNamed: the registry names none with this digest, or more than one.
    """
    found = [row for row in rows(connection) if len(digest) >= 8 and row.digest.startswith(digest)]
    if len(found) != 1:
        raise NotNamed(f"{len(found)} have a digest that begins with {digest}; see `dicom-ai models list`")
    mine = (models.c.digest == found[0].digest) & (models.c.task == found[0].task)
    connection.execute(update(models).where(mine).values(role=RETIRED, since=now, by=by))
    events.add(connection, now, "model_retired", {"digest": found[0].digest, "task": found[0].task, "by": by})
    return found[0]
