"""How a set is answered: its results are queued for every destination, or it ends visibly without findings.

A set that cannot be analysed never ends in silence. Where a report can truthfully say so, an Indeterminate report
with the reason goes the way of every other result; else, or if the site prefers it (`report.on_failure`), an alarm
is raised. It is over when a later answer of the study stands. What this is not: sending (`delivery`).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from dicom_ai.analysis import Analyst, Case, Examined
from dicom_ai.errors import DicomAIError, InputError, LedgerUnavailable, ModelError
from dicom_ai.evidence import Evidence
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.reporting import Reporter
from dicom_ai.settings import Settings
from dicom_ai.site import Destination, SiteTables
from dicom_ai.store import analyses, conflicts, outbox, results
from dicom_ai.store.alarms import end_alarms, raise_alarm
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.results import Standing

_WANTED = "disabled"  # somebody switched it off: neither a report nor an alarm
_UNSPEAKABLE = ("no_model", "identity_unreadable")  # a report names a model and carries an identity


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What answers are made of."""

    ledger: Ledger
    files: ObjectStore
    analyst: Analyst
    evidence: Evidence
    site: Callable[[], SiteTables]


class Answers:
    """Answers sets; every method may be repeated."""

    def __init__(self, settings: Settings, sources: Sources) -> None:
        """Take the real parts."""
        self._on_failure, self._zone = settings.report.on_failure, ZoneInfo(settings.site.timezone)
        self._sources, self._ledger = sources, sources.ledger
        self._log = get_logger()

    def require_findings(self, case: Case) -> None:
        """A case without a single image that was analysed ends as an alarm where the site wants that.

        Raises:
            DicomAIError: with the reason most of its images share.
        """
        if self._on_failure == "alarm" and not any(one.frames for one in case.members):
            reasons = Counter(one.outcome.reason or "analysis_failed" for one in case.members)
            raise DicomAIError("no image could be analysed", reason=reasons.most_common(1)[0][0])

    def queue(self, set_id: str, key: str) -> int:
        """Queue report and captures of a finished analysis; return for how many destinations."""
        now = self._ledger.clock()
        with write(self._ledger.engine) as connection:
            found = analyses.source_set(connection, set_id)
            count = self._queue(connection, found, key, now)
            analyses.answered(connection, set_id, now)
            for one in (set_id, *analyses.earlier_sets(connection, found)):
                end_alarms(connection, now, set=one, conflict=None)
        return count

    def end(self, set_id: str, reason: str) -> None:
        """End a set that cannot be analysed, with a reason a person can act on; its originals go on their way."""
        now = self._ledger.clock()
        found = self._sources.evidence.source_set(set_id)
        said = self._report_of_failure(found, reason, now)
        with write(self._ledger.engine) as connection:
            analyses.end_set(connection, found, reason, now)
            if said is not None:
                analysis, model = said
                analyses.save_analysis(connection, analysis, card=model, captures=(), kind="not_analysed")
                self._queue(connection, found, analysis.key, now)
                end_alarms(connection, now, set=set_id, conflict=None)
            elif reason != _WANTED:
                raise_alarm(connection, reason, now, study=found.study, set=set_id)
        how = "report" if said is not None else "wanted" if reason == _WANTED else "alarm"
        self._log.warning("set ended", set=set_id, reason=reason, state=how)

    def keep_waiting(self, connection: Connection, found: analyses.SourceSet, reason: str) -> None:
        """A set has waited for us for long; a person should look why. It is over when the set is answered."""
        raise_alarm(connection, reason, self._ledger.clock(), study=found.study, set=found.id)

    def _queue(self, connection: Connection, found: analyses.SourceSet, key: str, now: datetime) -> int:
        results.lock(connection, found.study)
        if results.is_superseded(connection, found):
            self._log.info("superseded", action="report", set=found.id, revision=found.revision)
            return 0
        analysis = analyses.analysis(connection, key)
        if analysis is None:
            raise LedgerUnavailable("an analysis that was committed is gone")
        results.supersede(connection, found, key, now)
        grade = results.grade_of(connection, key)
        barred = conflicts.bar(connection, found.study, found.id)
        targets = [one for one in self._sources.site().destinations if one.results]
        for target in targets:
            standing = standing_at(target, grade)
            if barred is not None and (standing.state == outbox.QUEUED or barred[0] == outbox.DEAD):
                standing = Standing(*barred)
            results.queue(connection, analysis, found.study, target.name, standing=standing, now=now)
            if standing.state == outbox.QUEUED:
                outbox.open_outbox(
                    connection, found.study, target.name, now=now, delay_s=0.0, enqueue=self._ledger.enqueue
                )
        return len(targets)

    def _report_of_failure(
        self, found: analyses.SourceSet, reason: str, now: datetime
    ) -> tuple[analyses.Analysis, str] | None:
        """The Indeterminate report of a set, with the model it names; None where none can or may be made."""
        if self._on_failure != "report" or reason in (_WANTED, *_UNSPEAKABLE):
            return None
        with read(self._ledger.engine) as connection:
            before = analyses.earlier_sets(connection, found)
            if any(analyses.analysis_of_set(connection, one) for one in before):
                return None  # it would stand in the place of what was found in the earlier images
        sources = self._sources
        case = sources.evidence.case_given_up(found, reason, now.astimezone(self._zone))
        try:
            model = sources.analyst.model_for(found.task)
            reporter = Reporter(sources.analyst, case, model)
            for _ in reporter.pictures(_no_pixels, sources.files.path):
                pass  # there is no picture to draw; it looks whether the identity can be read
        except (ModelError, InputError) as exc:
            self._log.error("report not built", action="report", set=found.id, error=type(exc).__name__)
            return None
        return analyses.Analysis(reporter.key, found.id, now, reporter.content().to_json()), model


def standing_at(target: Destination, grade: str) -> Standing:
    """How results of a model of this grade stand at a destination: the grade rule first, then the site's wish."""
    if grade == "demonstration" and not target.test:
        return Standing(outbox.HELD, "no_model")
    if target.release == "hold":
        return Standing(outbox.HELD, "not_released")
    return Standing()


def _no_pixels(_member: Examined) -> NoReturn:
    raise LookupError("a case that was given up has no pixels")
