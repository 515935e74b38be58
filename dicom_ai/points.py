"""Named points of the way where a proof may stop the process dead: `kill -9` exactly there, and once.

The environment variable DICOM_AI_KILL_AT names a folder. A process that reaches a point while the folder holds a file
of that name removes the file and kills itself; nobody is killed there again until somebody makes the file anew. Unset,
as in every hospital, a point costs one comparison.

    DICOM_AI_KILL_AT=/tmp/armed dicom-ai serve     # and, as often as you like: touch /tmp/armed/after-rename
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
_FOLDER = os.environ.get(VARIABLE, "")


def reached(point: str) -> None:
    """Die here if that was asked for."""
    if _FOLDER:
        with suppress(FileNotFoundError):
            os.unlink(f"{_FOLDER}/{point}")  # noqa: PTH108 - one system call: two processes cannot both remove it
            os.kill(os.getpid(), signal.SIGKILL)
