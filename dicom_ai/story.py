"""The steps of the story: what each workflow does between two commits, in the order a source set goes through them.

Every method may be repeated after a crash and then finds what it had committed. What this is not: the workflows
(`workflow`), or the stages; values pass between those here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from dicom_ai.analysis import Analyst
from dicom_ai.answer import Answers, Sources
from dicom_ai.commitments import Commitments
from dicom_ai.delivery import Courier
from dicom_ai.engine import StepFailed
from dicom_ai.errors import After, TaskDisabled
from dicom_ai.evidence import Evidence
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.ports import Job
from dicom_ai.reporting import Reporter
from dicom_ai.settings import Settings
from dicom_ai.settle import Looks
from dicom_ai.site import SiteTables
from dicom_ai.store import analyses, outbox
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.workfiles import WorkFiles, work_folder
from dicom_ai.verdicts import Verdicts

_RETRIES_S = (5, 15, 60, 300, 900)  # pauses of a failed analysis
Jobs = Callable[[str], Mapping[str, str]]
"""Gives jobs of a workflow: id -> first argument."""


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
        self._models, self._zone = settings.models, ZoneInfo(settings.site.timezone)
        work = WorkFiles(work_folder(settings.store.data))
        self._evidence = Evidence(parts.ledger, parts.files, parts.analyst, work)
        sources = Sources(
            ledger=parts.ledger, files=parts.files, analyst=parts.analyst, evidence=self._evidence, site=parts.site
        )
        self._answers = Answers(settings, sources)
        self._verdicts = Verdicts(parts.ledger, parts.files, self._zone)
        self._commitments = Commitments(settings.deliver, parts.ledger, parts.files, parts.site)
        self._log = get_logger()

    def settle(self, set_id: str, number: int | None = None) -> str:
        """Close the set when the study has come to rest, else look again later."""
        return self.looks.look(set_id, number)

    def choose_model(self, set_id: str) -> str:
        """The digest of the model that answers for the set's task.

        Raises:
            TaskDisabled: nobody wants an analysis; nothing is cropped or shown to a network.
            ModelError: there is no model for the task.
        """
        task = self._evidence.source_set(set_id).task
        if not self._models.is_enabled(task):
            raise TaskDisabled(task)
        return self._parts.analyst.model_for(task)

    def crop(self, set_id: str, model: str) -> int:
        """Decode and crop every member that was not cropped before; return how many may be analysed."""
        members = self._evidence.source_set(set_id).members
        n_cropped = sum([self._evidence.crop(member, model) for member in members])
        self._log.info("cropped", action="crop", set=set_id, count=n_cropped)
        return n_cropped

    def classify(self, set_id: str, model: str) -> int:
        """Score the kept pixels of every member that was not scored before; return how many were."""
        members = self._evidence.source_set(set_id).members
        n_scored = sum([self._evidence.score(member, model) for member in members])
        self._log.info("classified", action="classify", set=set_id, count=n_scored)
        return n_scored

    def report(self, set_id: str, model: str) -> str:
        """Make findings and captures, store the captures, commit the analysis; return its key.

        The report itself is built when a destination has said which of its forms it takes.
        """
        parts, found = self._parts, self._evidence.source_set(set_id)
        with read(parts.ledger.engine) as connection:
            standing = analyses.analysis_of_set(connection, set_id)
        if standing is not None:
            self._evidence.forget(found, model)  # the process may have died between the commit and this
            return standing.key
        now = parts.ledger.clock()
        case = self._evidence.case(found, model, now.astimezone(self._zone))
        self._answers.require_findings(case)
        reporter = Reporter(parts.analyst, case, model)
        captures = []
        for picture in reporter.pictures(lambda one: self._evidence.pixels(one, model), parts.files.path):
            digest = parts.files.write_result(picture.part10)
            captures.append({"uid": picture.uid, "sop_class": picture.sop_class, "digest": digest})
        finished = analyses.Analysis(reporter.key, set_id, now, reporter.content().to_json())
        with write(parts.ledger.engine) as connection:
            analyses.save_analysis(connection, finished, card=model, captures=captures)
        self._evidence.forget(found, model)
        self._log.info("reported", action="report", set=set_id, analysis=reporter.key[:16], count=len(captures))
        return reporter.key

    def queue_results(self, set_id: str, key: str) -> int:
        """Queue report and captures for every destination that takes results; a toy stays out of hospitals."""
        return self._answers.queue(set_id, key)

    def settle_again(self, set_id: str, error: str) -> None:
        """A look at a set broke off in a way nobody foresaw: look again later."""
        self.looks.again(set_id, error)

    def failed(self, set_id: str, attempt: int, failure: StepFailed, job: str) -> None:
        """Give a set whose analysis failed a next time, or an end with a reason.

        While our own disk, ledger or device is unwell the set waits; what nobody foresaw is tried a few times.
        The next job's id is made from the id of the failed `job`, so that no earlier job is taken for it.
        """
        again = failure.after is After.RETRY and (failure.reason is not None or attempt < len(_RETRIES_S))
        reason = failure.reason or "analysis_failed"
        state = "again" if again else "ended"
        say = self._log.info if reason == TaskDisabled.reason else self._log.error
        facts = {"set": set_id, "attempt": attempt, "error": failure.error, "reason": reason, "state": state}
        say("not analysed", action="classify", **facts)
        if not again:
            self._answers.end(set_id, reason)
            return
        ledger, pause_s = self._parts.ledger, _RETRIES_S[min(attempt, len(_RETRIES_S) - 1)]
        following = f"{job.split('+', maxsplit=1)[0]}+{attempt + 1}"
        with write(ledger.engine) as connection:
            ledger.enqueue(connection, _analyse(set_id, following, attempt + 1, pause_s))
            if attempt >= len(_RETRIES_S):
                self._answers.keep_waiting(connection, analyses.source_set(connection, set_id), reason)

    def deliver(self, study: str, destination: str, generation: int) -> int:
        """Send what is due for one destination."""
        return self._parts.courier.deliver(study, destination, generation)

    def deliver_again(self, study: str, destination: str, error: str) -> None:
        """A delivery broke off in a way nobody foresaw: what is queued gets a next time."""
        self._log.error("delivery failed", action="deliver", study=study, destination=destination, error=error)
        self._parts.courier.again(study, destination)

    def read_verdict(self, digest: str) -> str:
        """Read a structured report that arrived: a verdict on one of ours becomes rows of the ledger."""
        return self._verdicts.read(digest)

    def verdict_again(self, digest: str, error: str) -> None:
        """A report could not be looked at for now: `recover` finds it without a job and begins anew."""
        self._log.error("verdict not read", action="verdict", object=digest[:16], error=error)

    def report_commitment(self, number: str) -> str:
        """Tell a peer which of the objects it asked about are kept."""
        return self._commitments.report(int(number))

    def commitment_again(self, number: str, error: str) -> None:
        """A report on a commitment broke off in a way nobody foresaw: it gets a next time."""
        self._log.error("commitment not reported", action="deliver", error=error)
        self._commitments.again(int(number))

    def recover(self, jobs: Jobs, poison: Jobs = lambda _: {}) -> None:
        """See to it that every open set, closed set without an answer, queued delivery, report and request has a job.

        `jobs` wait or run; `poison` were given up because the process died under them too often: their sets end.
        """
        parts, now = self._parts, self._parts.ledger.clock()
        enqueue = parts.ledger.enqueue
        self._evidence.sweep()
        unwatched = self.looks.find(jobs("settle").values())
        with read(parts.ledger.engine) as connection:
            deadly = set(analyses.unanswered_sets(connection)) & set(poison("analyse").values())
        for set_id in sorted(deadly):
            self._answers.end(set_id, "analysis_failed")
        with write(parts.ledger.engine) as connection:
            open_ends = set(analyses.unanswered_sets(connection))
            unanswered = open_ends - set(jobs("analyse").values())
            for set_id in unanswered:
                enqueue(connection, _analyse(set_id, f"analyse:{set_id}:found-{now:%Y%m%d%H%M%S%f}"))
            stalled = outbox.reopen_stalled(connection, jobs("deliver"), now=now, enqueue=enqueue)
            unread = self._verdicts.find(connection, jobs, poison)
            unreported = self._commitments.find(connection, jobs)
        count = unwatched + len(unanswered) + stalled + unread + unreported
        if count:
            self._log.warning("found without a job", action="recover", count=count)


def _analyse(set_id: str, job: str, attempt: int = 0, delay_s: float = 0.0) -> Job:
    return Job("analyse", job, "classify", (set_id, attempt), delay_s)
