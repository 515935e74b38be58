"""Studies whose waiting objects may be cropped now go through the crop anew, each in a transaction of its own.

An approval stands before the first of them: what breaks off half way is taken up by approving the entry once more.
What this is not: the rules (`store.again`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dicom_ai.commands.rules import instance_of
from dicom_ai.ledger import Ledger
from dicom_ai.service import task_of
from dicom_ai.settings import Settings
from dicom_ai.store.again import StudyInDoubt, Way, go_again
from dicom_ai.store.database import write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.site_rows import newest


@dataclass(frozen=True)
class Replayed:
    """What became of one study: task -> objects in its new set, or why nothing was done."""

    study: str
    tasks: Mapping[str, int] = field(default_factory=dict)
    fault: str | None = None


def replay(at: Ledger, studies: Sequence[str], *, by: str, settings: Settings) -> list[Replayed]:
    """Go through these studies anew.

    Args:
        at: the ledger to act on.
        studies: our ids.
        by: who asks for it.
        settings: of the service.

    Raises:
        LedgerUnavailable: the studies before this one are done.
    """
    files = ObjectStore(settings.store.data)
    done = []
    for study in studies:
        with write(at.engine) as connection:
            way = Way(
                instance_of=lambda digest: instance_of(files.path(digest)),
                task_of=partial(task_of, newest(connection)),
                enqueue=at.enqueue,
                by=by,
            )
            try:
                done.append(Replayed(study, go_again(connection, study, way, at.clock()).tasks))
            except StudyInDoubt as exc:
                done.append(Replayed(study, fault=str(exc)))
    return done
