"""A DIMSE status of a C-STORE response becomes what follows for the object; attempts and times become the next time.

The table is PS3.7 Annex C with the storage classes' own statuses of PS3.4 B.2.3. A status the standard does not know
is worth another attempt: the retention time ends it, and giving up at once could lose a result.

What this is not: sending. Nothing here reads a clock or rolls a die; both are arguments.
"""

from datetime import datetime, timedelta
from enum import Enum

from dicom_ai.settings import Deliver


class Verdict(Enum):
    """What a response means for the object."""

    DELIVERED = "delivered"  # the peer has it
    RETRY = "retry"  # the peer is unwell; the same bytes may pass later
    REFUSED = "refused"  # the peer will never take these bytes in this form


CLASS_NOT_SUPPORTED = frozenset({0x0118, 0x0122})
"""No such SOP class, SOP class not supported: another class may pass where this one does not."""

# 0x0111: the peer holds this SOP Instance UID already; we send the same bytes on every attempt, so it has ours.
_DELIVERED = frozenset({0x0000, 0x0001, 0x0107, 0x0111, 0x0116})
# 0x0110 processing failure, 0x0210 duplicate invocation, 0x0213 resource limitation: of the moment, not of the object.
_RETRY = frozenset({0x0110, 0x0210, 0x0213})


def verdict(status: int) -> Verdict:
    """Say what follows from the status of a C-STORE response.

    Args:
        status: 0x0000..0xFFFF.

    Examples:
        >>> verdict(0xB007), verdict(0xA701), verdict(0xC123)
        (<Verdict.DELIVERED: 'delivered'>, <Verdict.RETRY: 'retry'>, <Verdict.REFUSED: 'refused'>)
    """
    if status in _DELIVERED or 0xB000 <= status <= 0xBFFF:
        return Verdict.DELIVERED
    if status in _RETRY or 0xA700 <= status <= 0xA7FF:
        return Verdict.RETRY
    # Failures by PS3.7 C: 01xx, 02xx, Axxx, Cxxx. Everything else is no status a C-STORE can have.
    is_failure = 0x0100 <= status <= 0x02FF or 0xA000 <= status <= 0xAFFF or 0xC000 <= status <= 0xCFFF
    return Verdict.REFUSED if is_failure else Verdict.RETRY


def is_of_the_form(status: int) -> bool:
    """Whether a refusal may be meant for the form only, so that the same result in another SOP class may pass.

    That is SOP class not supported, data set does not match SOP class (A9xx) and cannot understand (Cxxx), PS3.4
    B.2.3; a refusal of the sender or of the instance is none of them.
    """
    return status in CLASS_NOT_SUPPORTED or 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF


def next_attempt(
    attempts: int, now: datetime, *, queued_at: datetime, settings: Deliver, chance: float
) -> datetime | None:
    """Say when a failed delivery is tried again.

    The back-off doubles from `first_retry_s` to `max_retry_s`; each wait lies between half of it and all of it, so
    that many deliveries to one destination that failed together do not come back together. The last attempt is at the
    end of the retention time.

    Args:
        attempts: attempts made so far, >= 1.
        now: aware time of the failure.
        queued_at: aware time at which the delivery was ordered; the retention time counts from it.
        settings: first and longest back-off, retention.
        chance: random number in [0, 1).

    Returns:
        Aware time of the next attempt, None when the retention time is over: the delivery is dead.
    """
    end = queued_at + timedelta(hours=settings.retention_h)
    if now >= end:
        return None
    return min(now + timedelta(seconds=back_off_s(attempts, settings, chance)), end)


def back_off_s(attempts: int, settings: Deliver, chance: float) -> float:
    """Seconds to wait after this many attempts in vain (at least 1); `chance` as in `next_attempt`."""
    doublings = min(max(attempts, 1) - 1, 30)  # more would overflow nothing, but 2^30 first waits outlast any retention
    return min(settings.first_retry_s * float(1 << doublings), settings.max_retry_s) * (0.5 + 0.5 * chance)
