"""Milliseconds of one object by part: decoding, geometry, text check, emission; the parts of `crop.examine`, as it is.

The functions that `examine` calls are wrapped for the time of the measurement; what is in none of them counts as
geometry (regions, picture, decision). Time spent in a wrapped function called by another is the inner one's alone.
What this is not: a profiler.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

import cv2
import numpy as np
from pydicom.dataset import Dataset

from dicom_ai.commands.bench.subject import subject
from dicom_ai.crop import examine as examined
from dicom_ai.crop.examine import Asked, examine
from dicom_ai.crop.text import TextCheck
from dicom_ai.instance import Instance
from dicom_ai.simulate.device import devices
from dicom_ai.simulate.phantom import lung
from dicom_ai.simulate.screen import Header, layouts, screen

PARTS = ("decode", "geometry", "text", "emission")
STILL, LONG = 1, 13


@dataclass
class _Watch:
    """Exclusive times by part, seconds."""

    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    _stack: list[str] = field(default_factory=lambda: ["geometry"])
    _since: float = 0.0

    def enter(self, part: str) -> None:
        """From now on time counts as `part`'s."""
        self._tick()
        self._stack.append(part)

    def leave(self) -> None:
        """The caller's time again."""
        self._tick()
        self._stack.pop()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.spent[self._stack[-1]] += now - self._since
        self._since = now

    def run(self, work: Callable[[], object]) -> None:
        """Time `work`."""
        self._since = time.perf_counter()
        work()
        self._tick()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its time given to `part`."""

        def call(*args: Any, **named: Any) -> Any:
            self.enter(part)
            try:
                return function(*args, **named)
            finally:
                self.leave()

        return call

    def drawn(self, part: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same for a generator: each step's time is `part`'s."""

        def steps(*args: Any, **named: Any) -> Iterator[Any]:
            source = function(*args, **named)
            step = self.timed(part, lambda: next(source, _END))
            while (got := step()) is not _END:
                yield got

        return steps


_END = object()


@contextmanager
def _wrapped(watch: _Watch) -> Iterator[None]:
    steps, names = vars(examined), ("iter_frames", "identity_words", "kept", "blanked")
    before = {name: steps[name] for name in names}
    methods = {name: getattr(TextCheck, name) for name in ("__init__", "look", "vote")}
    steps["iter_frames"] = watch.drawn("decode", before["iter_frames"])
    steps["identity_words"] = watch.timed("text", before["identity_words"])
    steps["kept"], steps["blanked"] = (
        watch.timed("emission", before["kept"]),
        watch.timed("emission", before["blanked"]),
    )
    for name, method in methods.items():
        setattr(TextCheck, name, watch.timed("text", method))
    try:
        yield
    finally:
        steps.update(before)
        for name, method in methods.items():
            setattr(TextCheck, name, method)


def milliseconds(seed: int, repeats: int, tell: Callable[[int], None]) -> list[dict[str, Any]]:
    """Time stills and clips at 1164x873, uncompressed, on one core.

    Args:
        seed: of the pictures.
        repeats: pictures timed.
        tell: called after each.

    Returns:
        One row for each part of the first frame, of each later frame, and for their sums without decoding: median and
        95th percentile of so many, ms.
    """
    first: list[dict[str, float]] = []
    later: list[dict[str, float]] = []
    with _one_core() as worker:
        for number in range(repeats):
            one, many = worker.submit(_both, seed + number).result()
            first.append(one)
            later.append({part: (many[part] - one[part]) / (LONG - STILL) for part in PARTS})
            tell(number)
    return [*_rows("first frame", first), *_rows("each later frame", later)]


@contextmanager
def _one_core() -> Iterator[ProcessPoolExecutor]:
    """A process that computes on one core, as the decoding children do: libraries read these names when loaded."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    before = {name: os.environ.get(name) for name in single}
    os.environ.update(single)
    try:
        with ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
        ) as one:
            one.submit(len, ()).result()  # is there before the names are taken back
            yield one
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _both(seed: int) -> tuple[dict[str, float], dict[str, float]]:
    stills, clips = _objects(seed)
    return _timed(stills, STILL), _timed(clips, LONG)


def _rows(what: str, times: list[dict[str, float]]) -> list[dict[str, Any]]:
    parts = [_row(what, part, [one[part] for one in times]) for part in PARTS]
    return [*parts, _row(what, "all but decoding", [sum(one[part] for part in PARTS[1:]) for one in times])]


def _row(what: str, part: str, times: list[float]) -> dict[str, Any]:
    p95 = round(float(np.percentile(times, 95)), 2)
    return {"row": "speed", "what": what, "part": part, "ms": round(statistics.median(times), 2), "p95": p95,
            "n": len(times)}  # fmt: skip


def _objects(seed: int) -> tuple[Dataset, Dataset]:
    """A still and a clip on a LOGIQ E9's screen for stills, 873 rows and 1164 columns."""
    layout = layouts()["logiq-e9-still"]
    drawn = lung(seed, labels={"b_lines"}, frames=LONG, size=(layout.picture[3], layout.picture[2]))
    shown = screen(drawn, layout, Header(caption="RT LUNG"))
    one = replace(subject(seed, 0, "known"), shown=shown, layout=layout, device=devices()["logiq-e9"])
    return one.dataset(shown.frames[:1]), one.dataset(shown.frames, part=1)


def _timed(ds: Dataset, frames: int) -> dict[str, float]:
    """Milliseconds by part; the second of two runs, so that nothing is loaded for the first time."""
    instance = Instance.of(ds, ds.file_meta.TransferSyntaxUID)
    watch = _Watch()
    for _ in range(2):
        watch = _Watch()
        with _wrapped(watch):
            watch.run(lambda: examine(ds, instance, Asked(frames), lambda: False))
    return {part: 1000 * spent for part, spent in watch.spent.items()}
