"""Structured log lines on standard error; only keys of a closed list get through.

A patient's name cannot leak through a key that nobody has allowed. Values are our own ids, codes, counts and
seconds; never an element value, a data set, an event's repr or a file name made from one. Records of the
standard library (pynetdicom, pydicom, DBOS, warnings) are reduced to their logger's name and level: their texts are
not ours to vouch for. So is the text of an error that nobody caught, in any thread.

What this is not: control flow. State goes to the ledger.
"""

import logging
import sys
import threading
import traceback
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger",
        "action", "role", "pid", "port", "version", "signal", "exit_code",
        "association", "study", "set", "object", "analysis", "delivery", "destination", "job", "generation", "task",
        "status", "reason", "state", "attempt", "count", "elapsed_s", "next_in_s", "bytes", "frames", "error",
        "model", "device", "revision",
    }
)  # fmt: skip

dropped: Counter[str] = Counter()
"""How often a key that is not allowed was dropped; a metric, and a test looks at it."""


def allow_list(logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
    """Let only allowed keys through and count the others."""
    for key in [key for key in entry if key not in ALLOWED]:
        del entry[key]
        dropped[key] += 1
    return entry


_TOLD_BY_US = ("pydicom", "pynetdicom", "py")  # what matters of elements, peers and warnings is an error of ours


class _ForeignRecords(logging.Handler):
    """Reduce records of libraries to where they came from and how grave they are."""

    def emit(self, record: logging.LogRecord) -> None:
        # without its text a warning about one element of one object tells an operator nothing
        is_ours_to_tell = record.name.split(".", maxsplit=1)[0] in _TOLD_BY_US
        level = logging.DEBUG if is_ours_to_tell else record.levelno
        structlog.get_logger().log(level, "library record", logger=record.name)


def configure(level: str, form: Literal["auto", "json", "text"]) -> None:
    """Set up logging of this process, once, before threads start.

    Args:
        level: debug, info, warning or error.
        form: json, text, or auto (text when standard error is a terminal).
    """
    is_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer(colors=False) if is_text else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow_list,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever standard error is by then
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_ForeignRecords()]
    root.setLevel(logging.WARNING)
    # The engine gives its logger a handler of its own that writes whole texts, unless it has one already.
    logging.getLogger("dbos").handlers, logging.getLogger("dbos").propagate = [_ForeignRecords()], False
    sys.excepthook = _fault
    threading.excepthook = lambda args: _fault(args.exc_type, args.exc_value, args.exc_traceback)
    logging.captureWarnings(True)  # pydicom's warnings quote element values


def told(exc: BaseException) -> str:
    """All that may be said of a foreign error: its class, and where in our code it came up."""
    frames = traceback.extract_tb(exc.__traceback__)
    ours = [frame for frame in frames if "dicom_ai" in Path(frame.filename).parts] or list(frames)
    return f"{type(exc).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else type(exc).__name__


def _fault(kind: type[BaseException], exc: BaseException | None, _trace: TracebackType | None) -> None:
    """Replaces the traceback of an error that nobody caught: its text may quote an element value."""
    if kind is SystemExit or kind is KeyboardInterrupt:
        return
    get_logger().error("fault", error=told(exc) if exc is not None else kind.__name__)


def get_logger() -> structlog.stdlib.BoundLogger:
    """The logger; messages are constant, facts are keys."""
    return structlog.get_logger()  # type: ignore[no-any-return]
