"""The ledger's tables of what devices say of their exams; part of `tables`, where the others use them from.

Storage Commitment requests (PS3.4 Annex J) and performed procedure steps (PS3.4 Annex F).
"""

from sqlalchemy import JSON, Column, Integer, String, Table, UniqueConstraint

from dicom_ai.store.schema import metadata
from dicom_ai.store.utc import Utc

commitments = Table(
    "commitments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("peer", String(16), nullable=False),  # calling AE title: who asked, and who is told
    Column("called", String(16), nullable=False),  # the name it knows us by
    Column("transaction_uid", String(64), nullable=False),
    Column("listed", JSON, nullable=False),  # [[SOP Class UID, SOP Instance UID], ...], as asked
    Column("state", String(8), nullable=False),  # queued | reported | dead
    Column("reason", String(32)),
    Column("attempts", Integer, nullable=False),  # made so far; names the next job
    Column("queued_at", Utc, nullable=False),
    Column("last_status", String(6)),  # of the peer's response to the report
    UniqueConstraint("peer", "transaction_uid"),
)

procedure_steps = Table(
    "procedure_steps",
    metadata,
    Column("peer", String(16), primary_key=True),
    Column("uid", String(64), primary_key=True),
    Column("state", String(16), nullable=False),  # IN PROGRESS | COMPLETED | DISCONTINUED
    Column("at", Utc, nullable=False),  # of the last change
)
