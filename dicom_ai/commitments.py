"""Storage Commitment between the stages: a request is written down where it arrives and reported on by a job.

The report says what is true when it is sent; an attempt that fails has the back-off and the retention time of a
delivery, and one that is given up ends in an alarm. What this is not: the messages (`receive.commitment`,
`deliver.commitment`), or which objects count as kept (`store.commitments`).
"""

import random
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from dicom_ai.deliver.commitment import event_information, send_report
from dicom_ai.deliver.status import Verdict, next_attempt, verdict
from dicom_ai.errors import PeerRefused, PeerUnreachable
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.ports import CommitmentRequest, Promise, StepMessage, Steps
from dicom_ai.settings import Deliver
from dicom_ai.site import SiteTables
from dicom_ai.store import commitments, end_of_exam, events, procedure_steps
from dicom_ai.store.alarms import end_alarms, raise_alarm
from dicom_ai.store.commitments import Commitment
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore

_AGAIN_S = 60.0  # pause after a fault nobody foresaw

_LEAST_LISTED = 2
"""Objects a request must list to say anything about the end of an exam: scanners that ask after every image list one,
and each image would get a report of its own."""


def promising(ledger: Ledger, wait_s: float) -> Promise:
    """What the receiver does with a request: its row, its job and what it says about the end of an exam, or nothing.

    Args:
        ledger: of the receiving process.
        wait_s: seconds to wait, at least, after a request that lists everything that was received of a study.
    """

    def promise(request: CommitmentRequest) -> None:
        with write(ledger.engine) as connection:
            now = ledger.clock()
            if commitments.admit(connection, request, now=now, enqueue=ledger.enqueue):
                listed = {uid for _, uid in request.listed}
                if len(listed) < _LEAST_LISTED:
                    return
                end_of_exam.said_complete(connection, listed, now=now, wait_s=wait_s, enqueue=ledger.enqueue)

    return promise


def stepping(ledger: Ledger, wait_s: float) -> Steps:
    """What the receiver does with a message about a procedure step; see `promising` for the arguments."""

    def take(message: StepMessage) -> int:
        with write(ledger.engine) as connection:
            now = ledger.clock()
            status = procedure_steps.take(connection, message, now)
            if status == procedure_steps.SUCCESS and message.state == procedure_steps.COMPLETED:
                end_of_exam.said_complete(connection, message.listed, now=now, wait_s=wait_s, enqueue=ledger.enqueue)
        return status

    return take


class Commitments:
    """Reports on requests. Every method may be repeated; one at a time per peer (the queue is partitioned)."""

    def __init__(self, settings: Deliver, ledger: Ledger, files: ObjectStore, site: Callable[[], SiteTables]) -> None:
        """Take the real parts."""
        self._settings, self._ledger, self._files, self._site = settings, ledger, files, site
        self._chance = random.Random()  # noqa: S311 - spreads the back-off
        self._log = get_logger()

    def report(self, number: int) -> str:
        """Report on a request; return its state afterwards."""
        with read(self._ledger.engine) as connection:
            asked = commitments.waiting(connection, number)
            if asked is None:
                return "over"
            kept = commitments.judge(connection, asked, lambda digest: self._files.path(digest).is_file())
        peer = self._site().address_of(asked.peer)
        if peer is None:
            return self._failed(asked, "no_address", None)
        event_type, information = event_information(asked.transaction_uid, kept.stored, kept.failed)
        try:
            # by the name the peer called us: it would not know another one
            settings = self._settings.model_copy(update={"ae_title": asked.called})
            status = send_report(peer, settings, event_type, information)
        except PeerRefused as exc:
            return self._failed(asked, exc.reason or "class_refused", None)
        except PeerUnreachable:
            return self._failed(asked, None, None)
        if verdict(status) is not Verdict.DELIVERED:
            return self._failed(asked, None, status)
        now = self._ledger.clock()
        with write(self._ledger.engine) as connection:
            state = {"state": commitments.REPORTED, "reason": None, "last_status": f"0x{status:04X}"}
            commitments.record(connection, asked, **state)
            end_alarms(connection, now, commitment=asked.id)
            events.add(connection, now, "commitment_reported", {"commitment": asked.id, "failed": len(kept.failed)})
        self._log.info("commitment reported", action="deliver", count=len(kept.stored), state=commitments.REPORTED)
        return commitments.REPORTED

    def again(self, number: int) -> None:
        """A report broke off in a way nobody foresaw: it gets a next time."""
        with read(self._ledger.engine) as connection:
            asked = commitments.waiting(connection, number)
        if asked is not None:
            self._failed(asked, None, None, least_s=_AGAIN_S)

    def find(self, connection: Connection, jobs: Callable[[str], Mapping[str, str]]) -> int:
        """Give every request a job that waits for its report and has none; return how many."""
        found = commitments.unreported(connection, f":found-{self._ledger.clock():%Y%m%d%H%M%S%f}")
        lost = set(found) - set(jobs("commitment").values()) if found else set()
        for number in sorted(lost):
            self._ledger.enqueue(connection, found[number])
        return len(lost)

    def _failed(self, asked: Commitment, reason: str | None, status: int | None, *, least_s: float = 0.0) -> str:
        """Commit an attempt in vain and see to the next one; the last ends in an alarm."""
        now, chance = self._ledger.clock(), self._chance.random()
        at = next_attempt(asked.attempts + 1, now, queued_at=asked.queued_at, settings=self._settings, chance=chance)
        state = commitments.DEAD if at is None else commitments.QUEUED
        last_status = f"0x{status:04X}" if status is not None else None
        why = reason or ("attempts_spent" if at is None else None)
        with write(self._ledger.engine) as connection:
            commitments.record(connection, asked, state=state, reason=why, last_status=last_status)
            if at is not None:
                delay_s = max((at - now).total_seconds(), least_s)
                following = commitments.job(asked.id, asked.peer, asked.attempts + 1, delay_s=delay_s)
                self._ledger.enqueue(connection, following)
            if why is not None:  # it will not pass by itself: a person is told at once
                raise_alarm(connection, why, now, commitment=asked.id)
        self._log.warning(
            "commitment not reported", action="deliver", destination=asked.peer, attempt=asked.attempts + 1,
            reason=why, state=state,
        )  # fmt: skip
        return state
