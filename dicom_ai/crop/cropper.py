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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.policy import USUAL, Policy
from dicom_ai.kept import CropOutcome, Kept

LEAST_MEMORY_MIB = 768
"""The libraries alone map about half of this."""

_LONGEST_HEADER = 1 << 20
_START_S = 60.0
_DEATHS = 2  # one child may be killed for reasons that are not in the object, such as memory of others


class _ChildDied(Exception):
    """The pipe ended or carried nonsense."""


class _TimeIsUp(Exception):
    """The clock ran out."""


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

    def crop(self, request: dict[str, Any], seconds: float) -> tuple[CropOutcome, Kept | None]:
        """Send one request and read its answer within so many seconds."""
        assert self.process.stdin is not None  # noqa: S101 - for the type checker: both pipes are ours
        self._wait_until_ready()
        self.objects += 1
        deadline = time.monotonic() + seconds
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except OSError as exc:
            raise _ChildDied from exc
        header, rest = self._header(deadline)
        outcome = CropOutcome.of(header["outcome"])
        if outcome.status != "cropped":
            return outcome, None
        room = bytearray(header["bytes"])
        self._fill(memoryview(room), rest, deadline)
        pixels = np.frombuffer(room, np.uint8).reshape(header["shape"])
        return outcome, Kept(pixels, tuple(header["frame_numbers"]), outcome)

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
    """

    def __init__(
        self, *, children: int, memory_mib: int, timeout_s: float, recycle_after: int, policy: Policy = USUAL
    ) -> None:
        self._options = (str(max(memory_mib, LEAST_MEMORY_MIB)), json.dumps(policy.row()))
        self._timeout_s = timeout_s
        self._recycle_after = recycle_after
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(children)
        self._is_closed = False
        # A child dies with the thread that started it (PR_SET_PDEATHSIG), so one thread starts them all and stays.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="crop-starter")

    def crop(self, path: Path, frame_limit: int, layouts: Sequence[Layout] = ()) -> tuple[CropOutcome, Kept | None]:
        """Crop one DICOM file in a child; safe to call from many threads.

        Args:
            path: of a DICOM file with preamble and file meta information.
            frame_limit: most frames to keep, >= 1.
            layouts: entries of the catalogue that people approved, the latest first.

        Returns:
            The outcome, and the kept pixels exactly when its status is "cropped". An object on which two
            children died, or one ran out of time, is quarantined as "decoder_died" or "decode_timeout"; the next
            object is not harmed.
        """
        rows = [layout.row() for layout in layouts]
        request = {"path": str(path), "frame_limit": frame_limit, "layouts": rows}
        left = self._timeout_s  # for all attempts together
        with self._places:
            for _ in range(_DEATHS):
                child = self._take()
                begin = time.monotonic()
                try:
                    return self._crop(child, request, left)
                except _TimeIsUp:
                    return CropOutcome("quarantined", "decode_timeout", 0, 0, 0), None
                except _ChildDied:
                    left = max(0.0, left - (time.monotonic() - begin))
        return CropOutcome("quarantined", "decoder_died", 0, 0, 0), None

    def _crop(self, child: _Child, request: dict[str, Any], seconds: float) -> tuple[CropOutcome, Kept | None]:
        is_fit = False
        try:
            answer = child.crop(request, seconds)
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
