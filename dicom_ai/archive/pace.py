"""How fast, and at which hours of the day, an archive is asked: so that the people who work with it notice nothing.

Pure but for what it is given: a clock and a sleep. What this is not: a promise about the archive's own speed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

LONGEST_PAUSE_S = 5.0
"""Seconds that an archive is kept waiting for an answer at most; what is still owed is waited between requests."""

_BETWEEN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(MiB)?/(s|min)")


@dataclass(frozen=True)
class Hours:
    """Hours of the day, local time; over midnight where the first is later than the last."""

    first: time
    last: time

    @classmethod
    def of(cls, said: str) -> "Hours":
        """Read `20:00-06:00`.

        Raises:
            ValueError: it is written otherwise, or is no time at all.
        """
        match = _BETWEEN.fullmatch(said.strip())
        if match is None or match.group(1, 2) == match.group(3, 4):
            raise ValueError(f"{said!r} are no hours; they look like 20:00-06:00")
        a, b, c, d = (int(part) for part in match.groups())
        return cls(time(a, b), time(c, d))

    def wait_s(self, now: datetime) -> float:
        """Seconds until they begin; 0 within them.

        Examples:
            >>> Hours.of("20:00-06:00").wait_s(datetime(2026, 1, 1, 19, 59)), Hours.of("20:00-06:00").wait_s(
            ...     datetime(2026, 1, 1, 3))
            (60.0, 0.0)
        """
        at = now.timetz().replace(tzinfo=None)
        is_over_midnight = self.first > self.last
        is_open = (at >= self.first or at < self.last) if is_over_midnight else self.first <= at < self.last
        if is_open:
            return 0.0
        begin = now.replace(hour=self.first.hour, minute=self.first.minute, second=0, microsecond=0)
        return ((begin if begin > now else begin + timedelta(days=1)) - now).total_seconds()


@dataclass(frozen=True)
class Rate:
    """Objects or MiB per second at most."""

    objects: float = 0.0
    mib: float = 0.0

    @classmethod
    def of(cls, said: str) -> "Rate":
        """Read `5/s`, `30/min` (objects) or `2MiB/s`.

        Raises:
            ValueError: it is written otherwise, or is nothing at all.
        """
        match = _RATE.fullmatch(said.strip())
        if match is None or float(match[1]) == 0:
            raise ValueError(f"{said!r} is no rate; it looks like 5/s, 30/min or 2MiB/s")
        each = float(match[1]) / (60 if match[3] == "min" else 1)
        return cls(mib=each) if match[2] else cls(objects=each)

    def cost_s(self, size: int) -> float:
        """Seconds that an object of `size` bytes takes at this rate."""
        return (1 / self.objects if self.objects else 0.0) + (size / (self.mib * (1 << 20)) if self.mib else 0.0)


@dataclass
class Pace:
    """Waits where it is too early or too fast.

    Attributes:
        hours, rate: None: always, as fast as it goes.
        clock: local time, for the hours.
        monotonic, sleep: seconds.
    """

    hours: Hours | None
    rate: Rate | None
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    _free_at: float = field(default=0.0, init=False)

    def took(self, size: int) -> None:
        """An object of `size` bytes arrived: hold the archive back as long as is decent."""
        if self.rate is not None:
            now = self.monotonic()
            self._free_at = max(self._free_at, now) + self.rate.cost_s(size)
            self.sleep(min(self._free_at - now, LONGEST_PAUSE_S))

    @property
    def is_slow(self) -> bool:
        """Whether one object costs more than an archive can be held back for: ask for them one by one."""
        return self.rate is not None and self.rate.cost_s(1 << 20) >= LONGEST_PAUSE_S

    @property
    def is_closed(self) -> bool:
        """Whether it is outside of the hours now."""
        return self.hours is not None and self.hours.wait_s(self.clock()) > 0

    def wait(self) -> None:
        """Before a request: wait for the hours, and for what is still owed."""
        while self.hours is not None and (closed := self.hours.wait_s(self.clock())) > 0:
            self.sleep(closed)
        owed = self._free_at - self.monotonic()
        if owed > 0:
            self.sleep(owed)
