"""The ledger's append-only diary: what happened when, in our own ids.

What this is not: a log (that is for operators and may be lost), and it never holds an identity.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from dicom_ai.store.tables import events


def add(connection: Connection, at: datetime, kind: str, ids: Mapping[str, Any]) -> None:
    """Append one entry.

    Args:
        connection: with a write transaction open.
        at: aware time.
        kind: at most 32 characters, for example "received", "conflict", "settled".
        ids: our own ids, codes and counts.
    """
    connection.execute(insert(events).values(at=at, kind=kind, ids=dict(ids)))
