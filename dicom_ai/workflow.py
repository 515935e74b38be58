"""The story of one source set, from closed to delivered, as durable workflows; read `register` top to bottom.

Three workflows: `settle` looks whether a study is complete, `analyse` takes one closed source set through crop,
classify and report, `deliver` sends what waits for one destination. Each step commits what it made to the ledger
before the next begins and finds it there when it is repeated, so a step may be killed anywhere and run again. Waits
are delayed jobs. Pixels never pass through the engine: its arguments and results are ids.

What this is not: the stages themselves; it passes values between them. Receiving happens before, in its own process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from dbos import DBOS

from dicom_ai import points
from dicom_ai.analysis import Analyst, Case, Examined, Heat
from dicom_ai.delivery import Courier, Ledger
from dicom_ai.engine import StepFailed, last_step, step
from dicom_ai.errors import After, DicomAIError, LedgerUnavailable, ResourceError
from dicom_ai.finding import FrameScore
from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.log import get_logger
from dicom_ai.ports import Job
from dicom_ai.report.content import ReportContent
from dicom_ai.reporting import Reporter
from dicom_ai.settings import Settings
from dicom_ai.settle import Looks
from dicom_ai.site import SiteTables
from dicom_ai.store import analyses, outbox
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.workfiles import WorkFiles, work_folder

MAX_RECOVERIES = 20  # restarts of the process a workflow survives; the decoding children take the poison, not we
_RETRIES_S = (5, 15, 60, 300, 900)  # pauses of a failed analysis
_PASSING = ("decoder_died", "decode_timeout")  # of an object that was cropped once: the machine's fault, not its own
Jobs = Callable[[str], Mapping[str, str]]
"""Gives jobs of a workflow: id -> first argument."""


def register(story: "Story") -> None:
    """Give the engine its three workflows. Call once per process, before the engine is launched."""

    @DBOS.workflow(name="settle", max_recovery_attempts=MAX_RECOVERIES)
    def settle(set_id: str, number: int | None = None) -> None:
        try:
            step("settle", story.settle, set_id, number)
        except StepFailed as failure:
            last_step("again", story.settle_again, set_id, failure.error)

    @DBOS.workflow(name="analyse", max_recovery_attempts=MAX_RECOVERIES)
    def analyse(set_id: str, attempt: int = 0) -> None:
        try:
            model = step("model", story.choose_model, set_id)
            step("crop", story.crop, set_id, model)
            step("classify", story.classify, set_id, model)
            key = step("report", story.report, set_id, model)
            step("queue", story.queue_results, set_id, key)
        except StepFailed as failure:
            last_step("failed", story.failed, set_id, attempt, failure, str(DBOS.workflow_id))

    @DBOS.workflow(name="deliver", max_recovery_attempts=MAX_RECOVERIES)
    def deliver(study: str, destination: str, generation: int) -> None:
        try:
            step("deliver", story.deliver, study, destination, generation)
        except StepFailed as failure:
            last_step("again", story.deliver_again, study, destination, failure.error)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The real parts of the work process; `site` gives the site's tables in force."""

    ledger: Ledger
    files: ObjectStore
    analyst: Analyst
    courier: Courier
    site: Callable[[], SiteTables]


class Story:
    """The steps. Every method may be repeated after a crash and then finds what it had committed."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        """Take the real parts; `service` builds them."""
        self._parts, self.looks = parts, Looks(parts.ledger, settings.store)
        self._zone = ZoneInfo(settings.site.timezone)
        self._work = WorkFiles(work_folder(settings.store.data))
        self._log = get_logger()

    def settle(self, set_id: str, number: int | None = None) -> str:
        """Close the set when the study has come to rest, else look again later."""
        return self.looks.look(set_id, number)

    def choose_model(self, set_id: str) -> str:
        """The digest of the model that answers for the set's task."""
        return self._parts.analyst.model_for(self._set(set_id).task)

    def crop(self, set_id: str, model: str) -> int:
        """Decode and crop every member that was not cropped before; return how many may be analysed."""
        parts, n_cropped = self._parts, 0
        for member in self._set(set_id).members:
            outcome = self._crop_of(member)
            if outcome is None:
                outcome, kept = parts.analyst.crop(parts.files.path(member.digest), model)
                if kept is not None:
                    self._work.save(_work_name(member, model), kept, {})
                with write(parts.ledger.engine) as connection:
                    analyses.save_crop(connection, member.digest, outcome, parts.ledger.clock())
            n_cropped += outcome.status == "cropped"
        self._log.info("cropped", action="crop", set=set_id, count=n_cropped)
        return n_cropped

    def classify(self, set_id: str, model: str) -> int:
        """Score the kept pixels of every member that was not scored before; return how many were."""
        parts, n_scored = self._parts, 0
        for member in self._set(set_id).members:
            outcome = self._crop_of(member)
            if outcome is None or outcome.status != "cropped" or self._frames_of(member, outcome, model):
                continue
            kept, heat, frames = self._evidence(member, outcome, model)
            points.reached("after-inference")
            self._work.save(_work_name(member, model), kept, heat)  # before the scores, which say that it holds heat
            with write(parts.ledger.engine) as connection:
                crop = analyses.outcome_digest(outcome)
                analyses.save_scores(connection, member.digest, crop, model, frames)
            n_scored += 1
        self._log.info("classified", action="classify", set=set_id, count=n_scored)
        return n_scored

    def report(self, set_id: str, model: str) -> str:
        """Make findings and captures, store the captures, commit the analysis; return its key.

        The report itself is built when a destination has said which of its forms it takes.
        """
        parts, found = self._parts, self._set(set_id)
        with read(parts.ledger.engine) as connection:
            standing = analyses.analysis_of_set(connection, set_id)
        if standing is not None:
            return standing.key
        now = parts.ledger.clock()
        case = self._case(found, model, now.astimezone(self._zone))
        reporter = Reporter(parts.analyst, case, model)
        captures = []
        for picture in reporter.pictures(lambda one: self._pixels(one, model), parts.files.path):
            digest = parts.files.write_result(picture.part10)
            captures.append({"uid": picture.uid, "sop_class": picture.sop_class, "digest": digest})
        finished = analyses.Analysis(reporter.key, set_id, now, reporter.content().to_json())
        with write(parts.ledger.engine) as connection:
            analyses.save_analysis(connection, finished, card=model, captures=captures)
        for member in found.members:
            self._work.remove(_work_name(member, model))
        self._log.info("reported", action="report", set=set_id, analysis=reporter.key[:16], count=len(captures))
        return reporter.key

    def queue_results(self, set_id: str, key: str) -> int:
        """Queue report and captures for every destination that takes results; a toy stays out of hospitals."""
        parts, found, now = self._parts, self._set(set_id), self._parts.ledger.clock()
        targets = [one for one in parts.site().destinations if one.results]
        with write(parts.ledger.engine) as connection:
            analysis = analyses.analysis(connection, key)
            if analysis is None:
                raise LedgerUnavailable("an analysis that was committed is gone")
            grade = ReportContent.from_json(analysis.content).analysis.model.grade
            for target in targets:
                held = grade == "demonstration" and not target.test
                analyses.queue_results(connection, analysis, found.study, target.name, held=held, now=now)
                if not held:
                    outbox.open_outbox(
                        connection, found.study, target.name, now=now, delay_s=0.0, enqueue=parts.ledger.enqueue
                    )
            analyses.answered(connection, set_id, now)
        return len(targets)

    def settle_again(self, set_id: str, error: str) -> None:
        """A look at a set broke off in a way nobody foresaw: look again later."""
        self.looks.again(set_id, error)

    def failed(self, set_id: str, attempt: int, failure: StepFailed, job: str) -> None:
        """Give a set whose analysis failed a next time, or an end with a reason.

        While our own disk, ledger or device is unwell the set waits; what nobody foresaw is tried a few times.
        The next job's id is made from the id of the failed `job`, so that no earlier job is taken for it.
        """
        parts, now = self._parts, self._parts.ledger.clock()
        again = failure.after is After.RETRY and (failure.reason is not None or attempt < len(_RETRIES_S))
        pause_s = _RETRIES_S[min(attempt, len(_RETRIES_S) - 1)]
        reason = failure.reason or "analysis_failed"
        with write(parts.ledger.engine) as connection:
            found = analyses.source_set(connection, set_id)
            if again:
                parts.ledger.enqueue(
                    connection, _analyse(set_id, f"{job.split('+', maxsplit=1)[0]}+{attempt + 1}", attempt + 1, pause_s)
                )
            else:
                analyses.end_set(connection, found, reason, now)
        state = "again" if again else "ended"
        self._log.error("analysis failed", set=set_id, attempt=attempt, error=failure.error, reason=reason, state=state)

    def deliver(self, study: str, destination: str, generation: int) -> int:
        """Send what is due for one destination."""
        return self._parts.courier.deliver(study, destination, generation)

    def deliver_again(self, study: str, destination: str, error: str) -> None:
        """A delivery broke off in a way nobody foresaw: what is queued gets a next time."""
        self._log.error("delivery failed", action="deliver", study=study, destination=destination, error=error)
        self._parts.courier.again(study, destination)

    def recover(self, jobs: Jobs, poison: Jobs = lambda _: {}) -> None:
        """See to it that every open set, every closed set without an answer and every queued delivery has a job.

        `jobs` wait or run; `poison` were given up because the process died under them too often: their sets end.
        """
        parts, now = self._parts, self._parts.ledger.clock()
        enqueue = parts.ledger.enqueue
        unwatched = self.looks.find(jobs("settle").values())
        with write(parts.ledger.engine) as connection:
            open_ends = set(analyses.unanswered_sets(connection))
            for set_id in open_ends & set(poison("analyse").values()):
                analyses.end_set(connection, analyses.source_set(connection, set_id), "analysis_failed", now)
                open_ends.remove(set_id)
            unanswered = open_ends - set(jobs("analyse").values())
            for set_id in unanswered:
                enqueue(connection, _analyse(set_id, f"analyse:{set_id}:found-{now:%Y%m%d%H%M%S%f}"))
            stalled = outbox.reopen_stalled(connection, jobs("deliver"), now=now, enqueue=enqueue)
        count = unwatched + len(unanswered) + stalled
        if count:
            self._log.warning("found without a job", action="recover", count=count)

    def _set(self, set_id: str) -> analyses.SourceSet:
        with read(self._parts.ledger.engine) as connection:
            return analyses.source_set(connection, set_id)

    def _crop_of(self, member: analyses.Member) -> CropOutcome | None:
        with read(self._parts.ledger.engine) as connection:
            return analyses.crop_of(connection, member.digest)

    def _frames_of(
        self, member: analyses.Member | Examined, outcome: CropOutcome, model: str
    ) -> tuple[FrameScore, ...]:
        with read(self._parts.ledger.engine) as connection:
            return analyses.scores_of(connection, member.digest, analyses.outcome_digest(outcome), model) or ()

    def _case(self, found: analyses.SourceSet, model: str, now: datetime) -> Case:
        members = []
        for member in found.members:
            outcome = self._crop_of(member)
            if outcome is None:
                raise LedgerUnavailable("a crop that was committed is gone")
            frames = self._frames_of(member, outcome, model)
            members.append(Examined(member.digest, member.instance, outcome, analyses.outcome_digest(outcome), frames))
        return Case(found.task, tuple(members), found.revision, now)

    def _pixels(self, member: Examined, model: str) -> tuple[Kept, Heat]:
        kept, heat, _ = self._evidence(member, member.outcome, model)
        return kept, heat

    def _evidence(
        self, member: analyses.Member | Examined, outcome: CropOutcome, model: str
    ) -> tuple[Kept, Heat, tuple[FrameScore, ...]]:
        """Kept pixels, heat and scores: from the work file as far as it goes, else made again from the object."""
        analyst = self._parts.analyst
        found = self._work.load(_work_name(member, model), outcome)
        kept = found[0] if found else None
        if kept is None:
            again, kept = analyst.crop(self._parts.files.path(member.digest), model)
            if kept is None or again.row() != outcome.row():
                kind = ResourceError if again.reason in _PASSING else DicomAIError
                raise kind("an object was cropped otherwise than before", reason=again.reason or "analysis_failed")
        frames = self._frames_of(member, outcome, model)
        if found and frames:
            return kept, found[1], frames
        scores = analyst.score(kept, model)
        return kept, dict(scores.heat), frames or scores.frames


def _work_name(member: analyses.Member | Examined, model: str) -> str:
    return f"{member.digest}-{model[:16]}"


def _analyse(set_id: str, job: str, attempt: int = 0, delay_s: float = 0.0) -> Job:
    return Job("analyse", job, "classify", (set_id, attempt), delay_s)
