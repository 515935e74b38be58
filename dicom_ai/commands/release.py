"""The command `deliveries release`: a person lets results go out that were held."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from dicom_ai.commands import desk
from dicom_ai.errors import SettingsError
from dicom_ai.reasons import REASONS
from dicom_ai.rows import say
from dicom_ai.settings import Settings
from dicom_ai.store import outbox, overview
from dicom_ai.store.database import write
from dicom_ai.store.overview import Wanted
from dicom_ai.store.release import release as release_rows
from dicom_ai.store.site_rows import newest


def release(wanted: Wanted, settings: Settings, *, by: str, clock: Callable[[], datetime]) -> int:
    """Queue what is held among the chosen deliveries; 1 when something must stay held, with a sentence why.

    Raises:
        SettingsError: nothing narrows the choice, or there is no ledger yet.
    """
    if wanted == Wanted():
        raise SettingsError("say what to release: --id, --study or --destination")
    with desk.acting(settings, clock) as at, write(at.engine) as connection:
        rows = overview.delivery_rows(connection, replace(wanted, states=(outbox.HELD,)))
        targets = newest(connection).destinations
        chosen = [row["id"] for row in rows]
        done = release_rows(connection, chosen, targets, now=clock(), enqueue=at.enqueue, by=by)
    sys.stdout.write(f"released: {len(done.ids)} results, they are sent now\n" if done.ids else "released: nothing\n")
    for code, count in Counter(done.refused.values()).items():
        reason = REASONS[code]
        say(f"{count} stay held: {reason.meaning}. {reason.remedy}")
    others = [number for number in wanted.ids if number not in {*chosen, *done.ids, *done.refused}]
    for number in others:
        say(f"not {number}: it is not held; see `dicom-ai deliveries list --state held`")
    return int(bool(done.refused or others))
