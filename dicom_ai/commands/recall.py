"""The command `recall`: takes a wrong AI result back, everywhere it has arrived.

What still waits never goes out; where the result has arrived a rejection note follows, through the outbox, beside a
running service or at its next start. What this is not: a deletion; whether a PACS hides what is rejected is its own.
"""

import sys
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from dicom_ai.commands.desk import acting
from dicom_ai.errors import SettingsError
from dicom_ai.headers import header
from dicom_ai.ledger import Ledger
from dicom_ai.report.header import part10
from dicom_ai.report.rejection import Recall, rejection_note
from dicom_ai.rows import print_row
from dicom_ai.settings import Settings
from dicom_ai.store import rejections
from dicom_ai.store.database import write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.rejections import Arrived, Made
from dicom_ai.store.site_id import site_id


def recall(target: str, settings: Settings, *, by: str, why: str, clock: Callable[[], datetime], as_json: bool) -> int:
    """Take results back; return the exit code.

    Args:
        target: our id of a study (or its first digits), or the SOP Instance UID of a report.
        settings: of the service.
        by: who recalls, as a Person Name; stands in the note.
        why: sentence for readers; stands in the note.
        clock: aware times.
        as_json: print one JSON row per analysis.

    Raises:
        SettingsError: there is no such result, no reason or name, or no ledger yet.
        LedgerUnavailable, UnreadableInstance: nothing was recalled.
    """
    zone = ZoneInfo(settings.site.timezone)
    said = Recall(by, why, clock().astimezone(zone).replace(tzinfo=None).isoformat(), settings.site.language)
    files = ObjectStore(settings.store.data, role="command-")
    with acting(settings, clock) as desk:
        with write(desk.engine) as connection:
            keys = rejections.analyses_meant(connection, target)
            if not keys:
                raise SettingsError(f"no result of {target!r}; `dicom-ai studies list` shows the studies")
            # stopped first, so that nothing arrives any more that the note does not name
            stopped = {key: rejections.stop(connection, key, clock()) for key in keys}
            found = [one for key in keys for one in rejections.arrived(connection, key)]
        for one in found:
            _send(one, said, desk, files, site_id(settings.store.data).namespace)
    for key in keys:
        named = rejections.places([one for one in found if one.analysis == key])
        _tell(key, named, stopped[key], as_json=as_json)
    return 0


def _send(one: Arrived, said: Recall, desk: Ledger, files: ObjectStore, namespace: str) -> None:
    try:
        note = rejection_note([header(files.path(digest)) for _, digest in one.objects], said, namespace=namespace)
    except ValueError as exc:
        raise SettingsError(str(exc)) from None
    digest = files.write_result(part10(note))
    made = Made("recall", str(note.SOPInstanceUID), str(note.SOPClassUID), digest)
    with write(desk.engine) as connection:
        rejections.send(connection, made, one, now=desk.clock(), enqueue=desk.enqueue, by=said.by)


def _tell(key: str, named: list[str], stopped: int, *, as_json: bool) -> None:
    if as_json:
        print_row({"row": "recall", "analysis": key, "destinations": named, "stopped": stopped})
        return
    where = f"a note goes to {', '.join(named)}" if named else "it had arrived nowhere"
    sys.stdout.write(f"recalled {key[:16]}: {where}; {stopped} deliveries that waited never go\n")
