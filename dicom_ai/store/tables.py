"""The ledger's tables (SQLAlchemy Core). Times are UTC; names are those of the published contract.

What this is not: queries. `commit`, `settling`, `analyses` and `outbox` hold those, one idea each. Identity of
patients lives in the table `identity` alone, that of readers in `readers`; every other table speaks of objects by
digest and of studies by our own id.
"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from dicom_ai.store import commitment_tables, schema, verdict_tables
from dicom_ai.store.utc import Utc

metadata = schema.metadata
commitments, procedure_steps = commitment_tables.commitments, commitment_tables.procedure_steps
readers, readings, verdicts = verdict_tables.readers, verdict_tables.readings, verdict_tables.verdicts

studies = Table(
    "studies",
    metadata,
    Column("id", String(32), primary_key=True),  # our own: from the site's secret and the Study Instance UID
    Column("study_uid", String(64), nullable=False, unique=True),
    Column("first_at", Utc, nullable=False),
    Column("last_at", Utc, nullable=False),
    Column("rest_at", Utc),  # the scanner said that it sent everything: at rest then, unless more arrives
)

identity = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("patient_id", String, nullable=False),
    Column("patient_name", String, nullable=False),
    Column("birth_date", String, nullable=False),
    Column("accession", String, nullable=False),
    UniqueConstraint("study", "patient_id", "patient_name", "birth_date", "accession"),
)

objects = Table(
    "objects",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of data set as received + transfer syntax
    Column("sop_uid", String(64), nullable=False, index=True),
    Column("sop_class", String(64), nullable=False),
    Column("transfer_syntax", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("peer", String(16), nullable=False),  # calling AE title
    Column("called", String(16), nullable=False),
    Column("received_at", Utc, nullable=False),
    # stored | analysed | quarantined | forwarded-only, or of an object that does not stand: conflict | replaced
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("study", ForeignKey("studies.id"), nullable=False, index=True),
    Column("identity", ForeignKey("identity.id"), nullable=False),
    Column("facts", JSON, nullable=False),  # dicom_ai.instance.Instance without identity
)

NOT_STANDING = ("conflict", "replaced")
"""States of an object that another one of the same SOP Instance UID stands for: never analysed, never sent."""

_IS_STANDING = objects.c.state.not_in(NOT_STANDING)
Index("objects_standing", objects.c.sop_uid, unique=True, sqlite_where=_IS_STANDING, postgresql_where=_IS_STANDING)

conflicts = Table(
    "conflicts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),  # object: one UID, two contents | patient: one set, two Patient IDs
    Column("study", ForeignKey("studies.id"), nullable=False, index=True),
    Column("set", ForeignKey("sets.id")),  # of kind patient
    Column("sop_uid", String(64), index=True),  # of kind object, as the next three
    Column("kept", ForeignKey("objects.digest")),
    Column("digest", String(64)),  # of the later object; in `objects` unless it was refused
    Column("peer", String(16)),
    Column("at", Utc, nullable=False),
    Column("differs", JSON, nullable=False),  # keywords of patient and study identity that differ; never values
    Column("state", String(16), nullable=False),  # refused | open | resolved
    Column("choice", String(16)),  # what the person chose: kept | new, or the id of an identity
    Column("resolved_at", Utc),
    Column("by", String(64)),
)

associations = Table(
    "associations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("study", ForeignKey("studies.id"), primary_key=True),
    Column("receiver", String(64), nullable=False, index=True),  # whose association it is; cleared when it starts
    Column("opened_at", Utc, nullable=False),
)

receivers = Table(
    "receivers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("started_at", Utc, nullable=False),
)

sets = Table(
    "sets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("task", String(32), nullable=False),
    Column("state", String(8), nullable=False),  # open | closed
    Column("digest", String(64)),  # over the sorted (SOP Instance UID, digest) of the members, once closed
    Column("opened_at", Utc, nullable=False),
    Column("closed_at", Utc),
    Column("revision", Integer, nullable=False),
    Column("predecessor", ForeignKey("sets.id")),
    Column("looks", Integer, nullable=False, default=0),  # settle jobs enqueued so far; names the next one
    Column("answered_at", Utc),  # when its results were queued for every destination, or it ended without
    UniqueConstraint("study", "task", "revision"),
)

members = Table(
    "members",
    metadata,
    Column("set", ForeignKey("sets.id"), primary_key=True),
    Column("object", ForeignKey("objects.digest"), primary_key=True),
)

crops = Table(
    "crops",
    metadata,
    Column("object", ForeignKey("objects.digest"), primary_key=True),
    Column("outcome", String(64), nullable=False),  # SHA-256 of the canonical outcome row
    Column("status", String(16), nullable=False),
    Column("keep", JSON, nullable=False),
    Column("votes", JSON, nullable=False),
    Column("reason", String(32)),
    Column("row", JSON, nullable=False),  # kept.CropOutcome.row()
)

layouts = Table(
    "layouts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("manufacturer", String, nullable=False),
    Column("model", String, nullable=False),
    Column("software", String),  # None: every version
    Column("rows", Integer, nullable=False),
    Column("columns", Integer, nullable=False),
    Column("keep", JSON, nullable=False),  # polygons, full-frame pixels
    Column("mask", String(64), nullable=False),  # SHA-256 of the frame size and the pixels inside
    Column("evidence", ForeignKey("objects.digest"), nullable=False),  # the object that was looked at
    Column("state", String(12), nullable=False),  # proposed | approved | withdrawn
    Column("proposed_by", String(64), nullable=False),
    Column("proposed_at", Utc, nullable=False),
    Column("approved_by", String(64)),
    Column("approved_at", Utc),
    Column("withdrawn_by", String(64)),
    Column("withdrawn_at", Utc),
    Column("note", String, nullable=False),
    Column("pipeline", String(16), nullable=False),  # version of the crop whose answer they looked at
)

discards = Table(
    "discards",
    metadata,
    Column("object", ForeignKey("objects.digest"), primary_key=True),  # quarantined for good
    Column("by", String(64), nullable=False),
    Column("at", Utc, nullable=False),
    Column("why", String, nullable=False),
)

scores = Table(
    "scores",
    metadata,
    Column("object", ForeignKey("objects.digest"), primary_key=True),
    Column("crop", String(64), primary_key=True),
    Column("card", String(64), primary_key=True),
    Column("frames", JSON, nullable=False),  # [[frame number, [probabilities], assessability], ...]
)

analyses = Table(
    "analyses",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("set", ForeignKey("sets.id"), nullable=False, index=True),
    Column("card", String(64)),
    Column("created_at", Utc, nullable=False),
    Column("content", JSON, nullable=False),  # report.content.ReportContent
)

results = Table(
    "results",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("analysis", ForeignKey("analyses.key"), nullable=False, index=True),
    Column("kind", String(8), nullable=False),  # report | capture | still | verdict | recall
    Column("sop_class", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("kind", String(8), nullable=False),  # source | report | capture | verdict | recall
    Column("object", ForeignKey("objects.digest")),
    Column("analysis", ForeignKey("analyses.key")),
    Column("result", ForeignKey("results.uid")),  # of a report: once its form is chosen
    Column("state", String(12), nullable=False),  # queued | sent | confirmed | unverified | held | dead
    Column("reason", String(32)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("queued_at", Utc, nullable=False),
    Column("next_at", Utc),
    Column("last_status", String(6)),
    UniqueConstraint("destination", "object"),
    UniqueConstraint("destination", "result"),
    Index("deliveries_due", "study", "destination", "state"),
)

recalls = Table(
    "recalls",
    metadata,
    Column("conflict", ForeignKey("conflicts.id"), primary_key=True),
    Column("delivery", ForeignKey("deliveries.id"), primary_key=True),  # had reached its destination
    Column("at", Utc, nullable=False),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("study", ForeignKey("studies.id"), index=True),
    Column("set", ForeignKey("sets.id")),
    Column("conflict", ForeignKey("conflicts.id")),
    Column("delivery", ForeignKey("deliveries.id")),
    Column("commitment", ForeignKey("commitments.id")),
    Column("state", String(8), nullable=False),  # open | over
    Column("over_at", Utc),
)

outbox = Table(
    "outbox",
    metadata,
    Column("study", ForeignKey("studies.id"), primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("generation", Integer, nullable=False),  # names the delivery job
    Column("is_open", Boolean, nullable=False),  # a job is enqueued that has not yet picked up its rows
    Column("due_at", Utc, nullable=False),  # when the job of this generation runs
)

outages = Table(
    "outages",
    metadata,
    Column("destination", String(64), primary_key=True),  # a row while it cannot be reached
    Column("since", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),  # calls in vain
    Column("next_at", Utc, nullable=False),  # nobody calls it before
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("ids", JSON, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("task", String(32), primary_key=True),
    Column("role", String(16), nullable=False),  # champion
    Column("grade", String(16), nullable=False),
    Column("since", Utc, nullable=False),
    Column("by", String(64), nullable=False),
)

owners = Table(
    "owners",
    metadata,
    Column("store_id", String(32), primary_key=True),  # of site.json: the data folder whose ledger this is; one row
)

sites = Table(
    "sites",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("by", String(64), nullable=False),
    Column("content", JSON, nullable=False),  # dicom_ai.site.SiteTables
)
