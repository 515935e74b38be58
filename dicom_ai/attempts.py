"""What became of an attempt to deliver: written down, told, and given a next time.

An object that fails has a back-off of its own. A destination that cannot be reached has one for everything that waits
for it: whoever comes first calls, all others go by what came of it (`store.outages`). What this is not: sending.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from dicom_ai.deliver.send import Outcome
from dicom_ai.deliver.status import back_off_s, next_attempt
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.settings import Deliver
from dicom_ai.store import events, outages, outbox, recalls
from dicom_ai.store.alarms import end_alarms, raise_alarm
from dicom_ai.store.database import write

_AFTER_OTHERS_S = 0.5  # who called in vain lets the others call next, so that one poisonous study cannot stop them


class Attempts:
    """Writes down attempts."""

    def __init__(self, settings: Deliver, ledger: Ledger, chance: random.Random) -> None:
        """Take the ledger; `chance` spreads the back-off."""
        self._settings, self._ledger, self._chance = settings, ledger, chance
        self._log = get_logger()

    def record(self, due: outbox.Due, outcome: Outcome) -> None:
        """Commit what came of one attempt; what failed for a time gets its next one."""
        status = f"0x{outcome.status:04X}" if outcome.status is not None else None
        with write(self._ledger.engine) as connection:
            if outcome.state == outbox.QUEUED:
                self._again(connection, due, outbox.Outcome("queued", status, outcome.reason))
                return
            if outcome.state in outbox.ARRIVED:
                recalls.arrived_all_the_same(connection, due.id, self._ledger.clock())
            outbox.record(connection, due.id, outbox.Outcome(outcome.state, status, outcome.reason))
            if outcome.state == outbox.DEAD:
                self._alarm(connection, due, outcome.reason)
            elif outcome.state in outbox.ARRIVED:
                end_alarms(connection, self._ledger.clock(), delivery=due.id)

    def give_up(self, due: Sequence[outbox.Due], reason: str | None) -> None:
        """These deliveries will never pass as they are: dead, with a reason and an alarm each."""
        for one in due:
            self.record(one, Outcome(one.id, None, outbox.DEAD, reason))

    def alarm(self, due: outbox.Due, reason: str) -> None:
        """A person must look at where this delivery went, although something took its place."""
        with write(self._ledger.engine) as connection:
            self._alarm(connection, due, reason)

    def hold(self, due: Sequence[outbox.Due], destination: str, reason: str) -> None:
        """These deliveries must not go there now; they wait for a person."""
        for one in due:
            self.record(one, Outcome(one.id, None, outbox.HELD, reason))
            with write(self._ledger.engine) as connection:
                ids = {"delivery": one.id, "analysis": one.analysis, "destination": destination, "reason": reason}
                events.add(connection, self._ledger.clock(), "held", ids)

    def is_closed(self, connection: Connection, destination: str, due: Sequence[outbox.Due]) -> bool:
        """Whether the destination is known to be unreachable just now; then these wait until it may be called."""
        now = self._ledger.clock()
        until = outages.closed_until(connection, destination, now)
        if until is None:
            return False
        over = [one for one in due if now >= self._end(one)]
        for one in over:
            outbox.record(connection, one.id, outbox.Outcome(outbox.DEAD, None, "attempts_spent"))
            self._alarm(connection, one, "attempts_spent")
        left = [one for one in due if one not in over]
        if left:
            until = min(until, *(self._end(one) for one in left))
            outbox.postpone(connection, left, until, now=now, enqueue=self._ledger.enqueue)
        return True

    def in_vain(self, destination: str, due: Sequence[outbox.Due], *, is_whole_call: bool) -> None:
        """The destination could not be reached, or dropped the association: nobody calls for a while.

        Args:
            destination: its name.
            due: what was not delivered.
            is_whole_call: nothing could be sent at all. Otherwise one of these may be what it cannot bear, and each
                gets its own back-off as well.
        """
        now, ledger = self._ledger.clock(), self._ledger
        with write(ledger.engine) as connection:
            n_calls = outages.attempts(connection, destination) + 1
            wait_s = back_off_s(n_calls, self._settings, self._chance.random())
            outages.begin_or_go_on(connection, destination, now=now, wait_s=wait_s)
            for one in due:
                least_s = wait_s + _AFTER_OTHERS_S
                self._again(connection, one, outbox.Outcome("queued"), least_s, is_least_enough=is_whole_call)
        self._log.warning(
            "unreachable", action="deliver", destination=destination, attempt=n_calls, next_in_s=round(wait_s, 1)
        )

    def reached(self, destination: str) -> None:
        """Somebody got through; whoever waits for the destination need not wait any longer."""
        with write(self._ledger.engine) as connection:
            if outages.end(connection, destination, self._ledger.clock()):
                self._log.info("reachable", action="deliver", destination=destination)

    def _again(
        self,
        connection: Connection,
        due: outbox.Due,
        outcome: outbox.Outcome,
        least_s: float = 0.0,
        *,
        is_least_enough: bool = False,
    ) -> None:
        now = self._ledger.clock()
        at = next_attempt(
            due.attempts + 1, now, queued_at=due.queued_at, settings=self._settings, chance=self._chance.random()
        )
        if at is None:
            outbox.record(connection, due.id, outbox.Outcome(outbox.DEAD, outcome.status, "attempts_spent"))
            self._alarm(connection, due, "attempts_spent")
            return
        least = now + timedelta(seconds=least_s)
        at = min(least if is_least_enough else max(at, least), self._end(due))
        delay_s = (at - now).total_seconds()
        outbox.retry(connection, due.id, outcome, now=now, delay_s=delay_s, enqueue=self._ledger.enqueue)

    def _end(self, due: outbox.Due) -> datetime:
        return due.queued_at + timedelta(hours=self._settings.retention_h)

    def _alarm(self, connection: Connection, due: outbox.Due, reason: str | None) -> None:
        """A delivery that ended without reaching its destination is never silent."""
        now = self._ledger.clock()
        events.add(connection, now, "undelivered", {"delivery": due.id, "kind": due.kind, "reason": reason})
        raise_alarm(connection, reason or "peer_failed", now, study=due.study, delivery=due.id)
        self._log.error("undelivered", action="deliver", delivery=due.id, reason=reason)
