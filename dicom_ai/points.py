"""Named points of the way where a proof may stop the process dead: `kill -9` exactly there, and once.

The environment variable DICOM_AI_KILL_AT is `POINT=FILE`: the first process that reaches the point while FILE exists
removes it and kills itself; nobody is killed again until somebody makes the file anew. Unset, as in every hospital,
a point costs one comparison.

    DICOM_AI_KILL_AT=after-rename=/tmp/armed dicom-ai serve     # and: touch /tmp/armed
"""

import os
import signal
from contextlib import suppress

VARIABLE = "DICOM_AI_KILL_AT"
POINTS = (
    "after-fsync",  # the object's file is durable, under its name in the spool
    "after-rename",  # it has its name in the store; the ledger does not know it
    "before-commit",  # its rows and jobs are written, not committed
    "after-commit",  # they are committed; the sender has no answer
    "after-inference",  # scores were computed, not committed
    "before-send",  # what is due was picked up, the association stands, nothing was sent
    "mid-send",  # part of an object has gone out
    "after-answer",  # the destination has answered; the outcome is not committed
)
_NAME, _, _FILE = os.environ.get(VARIABLE, "").partition("=")


def reached(point: str) -> None:
    """Die here if that was asked for."""
    if point == _NAME:
        with suppress(FileNotFoundError):
            os.unlink(_FILE)  # noqa: PTH108 - one system call: two processes cannot both remove it
            os.kill(os.getpid(), signal.SIGKILL)
