"""Looks at open sets, as the work process makes them: by a clock that may be set at any moment.

The ledger's times and the engine's delays go by the wall clock, because only that one outlives a process. Whoever
sets it makes every study look quiet for hours, or sends every look hours away. A clock that only runs forward tells;
then the timers of all open sets begin anew, as they do at every start. What this is not: the rule when a set is
closed (`store.settling`).
"""

import time
from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import Connection

from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.settings import Store
from dicom_ai.store import settling
from dicom_ai.store.database import write

AGAIN_S = 5.0  # pause before another look when one broke off

_SET_S = 1.0  # the wall clock was set when it moved this much more or less than the other one between two looks


class ClockWatch:
    """Notices that the wall clock was set while this process ran.

    Not when it was set to and fro between two looks, which are a minute apart at most: what a study received
    meanwhile has a time of its own then, and its set may close early, at the cost of a revision.
    """

    def __init__(self, wall: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the two clocks; what happened before is not known."""
        self._wall, self._monotonic = wall, monotonic
        self._known = self._apart()

    def was_set(self) -> bool:
        """Whether the clock was set since it was last accepted; a slow correction (NTP slews) does not count."""
        apart = self._apart()
        if abs(apart - self._known) > _SET_S:
            return True
        self._known = apart
        return False

    def accept(self) -> None:
        """What follows from it is committed; go by the clock as it is now."""
        self._known = self._apart()

    def _apart(self) -> float:
        return self._wall().timestamp() - self._monotonic()


class Looks:
    """The looks of one work process."""

    def __init__(self, ledger: Ledger, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the ledger and the quiet times."""
        self._ledger, self._quiet_s = ledger, (store.settle_quiet_s, store.settle_late_quiet_s)
        self._watch = ClockWatch(ledger.clock, monotonic)
        self._log = get_logger()

    def look(self, set_id: str, number: int | None = None) -> str:
        """Close the set when the study has come to rest, else look again later; say which."""
        ledger = self._ledger
        with write(ledger.engine) as connection:
            was_set = self._watch.was_set()
            if was_set:
                self._restart_timers(connection)
                decided = settling.Settled.LATER
            else:
                decided = settling.decide(
                    connection,
                    set_id,
                    number,
                    now=ledger.clock(),
                    quiet_s=self._quiet_s,
                    enqueue=ledger.enqueue,
                )
        if was_set:
            self._watch.accept()
        self._log.info("looked at the set", action="settle", set=set_id, state=str(decided))
        return str(decided)

    def again(self, set_id: str, error: str) -> None:
        """A look at a set broke off in a way nobody foresaw: look again later."""
        self._log.error("look failed", action="settle", set=set_id, error=error)
        with write(self._ledger.engine) as connection:
            settling.look_again(connection, set_id, delay_s=AGAIN_S, enqueue=self._ledger.enqueue)

    def start(self) -> None:
        """The process came up: begin the timers of every open set anew. Before the engine is launched."""
        with write(self._ledger.engine) as connection:
            self._restart_timers(connection)
        self._watch.accept()

    def find(self, watched: Collection[str]) -> int:
        """Give a look to every open set but the `watched` ones, to all when the clock was set; return how many."""
        with write(self._ledger.engine) as connection:
            was_set = self._watch.was_set()
            if was_set:
                count = self._restart_timers(connection)
            else:
                unwatched = set(settling.open_sets(connection)) - set(watched)
                count = len(unwatched)
                for set_id in sorted(unwatched):
                    settling.look_again(connection, set_id, delay_s=0.0, enqueue=self._ledger.enqueue)
        if was_set:
            self._watch.accept()
        return count

    def _restart_timers(self, connection: Connection) -> int:
        return settling.restart_timers(connection, now=self._ledger.clock(), enqueue=self._ledger.enqueue)
