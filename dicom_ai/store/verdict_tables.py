"""The ledger's tables about readers' verdicts; part of `tables`, where the others use them from.

A reader's name is identity, of staff: it stands in `readers` alone, is shown on demand only, and may be blanked there
without a trace elsewhere. What a reader typed is in no table.
"""

from sqlalchemy import JSON, Column, Float, ForeignKey, Integer, String, Table, UniqueConstraint

from dicom_ai.store.schema import metadata
from dicom_ai.store.utc import Utc

readers = Table(
    "readers",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String, nullable=False),  # of staff: here alone, so that it can be shown on demand only
    Column("organisation", String, nullable=False),
    UniqueConstraint("name", "organisation"),
)

readings = Table(
    "readings",
    metadata,
    Column("digest", String(64), primary_key=True),  # of a structured report that was looked at
    Column("outcome", String(16), nullable=False),  # verdict, or why it is none
    Column("at", Utc, nullable=False),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("sr_uid", String(64), primary_key=True),  # of the verified document
    Column("tracking_uid", String(64), primary_key=True),
    Column("object", String(64), nullable=False),  # digest of the document
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("analysis", ForeignKey("analyses.key"), nullable=False, index=True),
    Column("image", String(64), nullable=False),  # SOP Instance UID
    Column("frame", Integer),  # one-based
    Column("class", String(32)),  # what the AI found; None: nothing
    Column("probability", Float),
    Column("threshold", Float),
    Column("device_uid", String(64), nullable=False),
    Column("verdict", String(8), nullable=False),  # ACCEPTED | MODIFIED | REJECTED | MISSED
    Column("reader_class", String(32)),
    Column("region", JSON(none_as_null=True)),  # the reader's outline, full-frame pixels
    Column("reader", ForeignKey("readers.id"), nullable=False),
    Column("verified_at", Utc, nullable=False),
)
