"""The parent's side of cropping: a pool of decoding children, a clock over each, and truthful ends when one dies.

The parent never decodes: it sends a path and receives the decision and the kept pixels. What this is not: a queue;
`crop` blocks its caller, and as many callers as there are children make progress at the same time.
"""

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.policy import USUAL, Policy
from dicom_ai.kept import CropOutcome, Kept, Polygon

LEAST_MEMORY_MIB = 768
"""The libraries alone map about half of this."""

_LONGEST_HEADER = 1 << 20
_START_S = 60.0
_DEATHS = 2  # one child may be killed for reasons that are not in the object, such as memory of others


class _ChildDied(Exception):
    """The pipe ended or carried nonsense."""


class _TimeIsUp(Exception):
    """The clock ran out."""


@dataclass(frozen=True)
class Shown:
    """What each witness says of one object, for the person who decides.

    Attributes:
        outcome: what the crop decides now.
        regions, support: the shapes of the two witnesses, full-frame pixels; empty where there is none.
        png: the votes drawn; None when the pixels cannot be shown.
    """

    outcome: CropOutcome
    regions: tuple[Polygon, ...] = ()
    support: tuple[Polygon, ...] = ()
    png: bytes | None = None


class _Child:
    def __init__(self, *options: str) -> None:
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dicom_ai.crop.child", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,  # stderr may quote elements
            bufsize=0, close_fds=True, env=os.environ | single,
        )  # fmt: skip
        self.objects = 0
        self._is_ready = False

    def answer(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytearray]:
        """Send one request and read its answer within so many seconds: the header and the bytes behind it."""
        assert self.process.stdin is not None  # noqa: S101 - for the type checker: both pipes are ours
        self._wait_until_ready()
        self.objects += 1
        deadline = time.monotonic() + seconds
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError as exc:
            raise _ChildDied from exc
        header, rest = self._header(deadline)
        room = bytearray(header["bytes"])
        if room:
            self._fill(memoryview(room), rest, deadline)
        return header, room

    def _wait_until_ready(self) -> None:
        """A machine under load starts a child slowly; that is not the object's fault."""
        try:
            if not self._is_ready and self._header(time.monotonic() + _START_S)[0] != {"ready": True}:
                raise _ChildDied
        except _TimeIsUp as exc:
            raise _ChildDied from exc
        self._is_ready = True

    def _header(self, deadline: float) -> tuple[dict[str, Any], bytes]:
        got = b""
        while b"\n" not in got:
            if len(got) > _LONGEST_HEADER:
                raise _ChildDied
            got += self._some(deadline)
        line, rest = got.split(b"\n", 1)
        try:
            header: dict[str, Any] = json.loads(line)
        except ValueError as exc:
            raise _ChildDied from exc
        return header, rest

    def _fill(self, room: memoryview, rest: bytes, deadline: float) -> None:
        at = 0
        while True:
            if len(rest) > len(room) - at:
                raise _ChildDied
            room[at : at + len(rest)] = rest
            at += len(rest)
            if at == len(room):
                return
            rest = self._some(deadline)

    def _some(self, deadline: float) -> bytes:
        assert self.process.stdout is not None  # noqa: S101 - as above
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            if not ready.select(max(0.0, deadline - time.monotonic())):
                raise _TimeIsUp
        some = os.read(self.process.stdout.fileno(), 1 << 20)
        if not some:
            raise _ChildDied
        return some

    def end(self) -> None:
        """Kill and reap; a child keeps no state worth a farewell."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Cropper:
    """A pool of decoding children, started when first needed.

    Args:
        children: most children alive, >= 1.
        memory_mib: limit on the address space of each, >= 768.
        timeout_s: longest time for one object, in seconds.
        recycle_after: objects after which a child is replaced, >= 1.
        policy: what the site allows.
        layouts: supplies the entries of the layout catalogue that people approved, the latest first.
    """

    def __init__(
        self,
        *,
        children: int,
        memory_mib: int,
        timeout_s: float,
        recycle_after: int,
        policy: Policy = USUAL,
        layouts: Callable[[], Sequence[Layout]] = tuple,
    ) -> None:
        self._options = (str(max(memory_mib, LEAST_MEMORY_MIB)), json.dumps(policy.row()))
        self._timeout_s, self._layouts = timeout_s, layouts
        self._recycle_after = recycle_after
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(children)
        self._is_closed = False
        # A child dies with the thread that started it (PR_SET_PDEATHSIG), so one thread starts them all and stays.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="crop-starter")

    def crop(
        self, path: Path, frame_limit: int, layouts: Sequence[Layout] | None = None
    ) -> tuple[CropOutcome, Kept | None]:
        """Crop one DICOM file in a child; safe to call from many threads.

        Args:
            path: of a DICOM file with preamble and file meta information.
            frame_limit: most frames to keep, >= 1.
            layouts: entries of the catalogue that people approved, the latest first; None asks the supplier.

        Returns:
            The outcome, and the kept pixels exactly when its status is "cropped". An object on which two
            children died, or one ran out of time, is quarantined as "decoder_died" or "decode_timeout"; the next
            object is not harmed.

        Raises:
            Whatever the supplier raises.
        """
        answer = self._answer(self._request(path, frame_limit, layouts))
        if isinstance(answer, CropOutcome):
            return answer, None
        header, room = answer
        outcome = CropOutcome.of(header["outcome"])
        if outcome.status != "cropped":
            return outcome, None
        pixels = np.frombuffer(room, np.uint8).reshape(header["shape"])
        return outcome, Kept(pixels, tuple(header["frame_numbers"]), outcome)

    def show(
        self,
        path: Path,
        layouts: Sequence[Layout] | None = None,
        *,
        language: Literal["en", "zh"] = "en",
        is_whole: bool = False,
    ) -> Shown:
        """Draw what each witness says of one DICOM file, in a child as `crop` does it.

        Args:
            path: as for `crop`.
            layouts: as for `crop`.
            language: of the legend.
            is_whole: show the whole screen, identity included; else it is a mosaic outside of the witnesses' shapes.
        """
        wish = {"picture": {"language": language, "is_whole": is_whole}}
        answer = self._answer(self._request(path, 1, layouts) | wish)
        if isinstance(answer, CropOutcome):
            return Shown(answer)
        header, png = answer
        shapes = header["seen"] or {"regions": [], "support": []}
        corners = [(float(a), float(b), float(c), float(d)) for a, b, c, d in shapes["regions"]]
        return Shown(
            CropOutcome.of(header["outcome"]),
            tuple(((x0, y0), (x1, y0), (x1, y1), (x0, y1)) for x0, y0, x1, y1 in corners),
            tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in shapes["support"]),
            bytes(png) or None,
        )

    def approved(self) -> Sequence[Layout]:
        """The entries of the catalogue that people approved, as the supplier knows them now, the latest first."""
        return self._layouts()

    def _request(self, path: Path, frame_limit: int, layouts: Sequence[Layout] | None) -> dict[str, Any]:
        rows = [layout.row() for layout in (self._layouts() if layouts is None else layouts)]
        return {"path": str(path), "frame_limit": frame_limit, "layouts": rows}

    def _answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytearray] | CropOutcome:
        """What a child answers; an outcome of our own when none does."""
        left = self._timeout_s  # for all attempts together
        with self._places:
            for _ in range(_DEATHS):
                child = self._take()
                begin = time.monotonic()
                try:
                    return self._ask(child, request, left)
                except _TimeIsUp:
                    return CropOutcome("quarantined", "decode_timeout", 0, 0, 0)
                except _ChildDied:
                    left = max(0.0, left - (time.monotonic() - begin))
        return CropOutcome("quarantined", "decoder_died", 0, 0, 0)

    def _ask(self, child: _Child, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytearray]:
        is_fit = False
        try:
            answer = child.answer(request, seconds)
            is_fit = child.objects < self._recycle_after
            return answer
        finally:
            self._give_back(child, is_fit=is_fit)

    def close(self) -> None:
        """End every child; calls in progress end as "decoder_died" at the latest when their child is given back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()
        self._starter.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> _Child:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the cropper is closed")
            while self._idle:
                child = self._idle.pop()
                if child.process.poll() is None:
                    return child
                child.end()  # died while idle: nobody's object is to blame
        return self._starter.submit(_Child, *self._options).result()

    def _give_back(self, child: _Child, *, is_fit: bool) -> None:
        with self._lock:
            if is_fit and not self._is_closed:
                self._idle.append(child)
                return
        child.end()
