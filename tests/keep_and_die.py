"""A process that keeps objects, prints what it acknowledged, and kills itself at a given step: `DATA STEP NTH URL`."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from sqlalchemy import event

from dicom_ai.store.commit import known
from dicom_ai.store.files import Disk
from tests import databases
from tests.ledger import place

N_OBJECTS, BATCH = 12, 3


def main(data: Path, step: str, nth: int, url: str) -> None:
    is_armed = False
    n_left = nth
    real = Disk()

    def at(name: str) -> None:
        nonlocal n_left
        if is_armed and name == step:
            n_left -= 1
            if n_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def hooked(name: str):
        def call(*paths: Path) -> None:
            at(f"before {name}")
            getattr(real, name)(*paths)
            at(f"after {name}")

        return call

    databases.current.adopt(data, url)
    here = place(data, disk=Disk(hooked("sync_file"), hooked("rename"), hooked("sync_directory")))
    here.files.sweep_spool()
    here.files.sweep_store(partial(known, here.engine))
    event.listen(here.engine, "before_cursor_execute", lambda *_: at("before statement"))
    event.listen(here.engine, "commit", lambda _: at("before commit"))
    is_armed = True
    for first in range(0, N_OBJECTS, BATCH):
        batch = [here.spooled(number) for number in range(first, first + BATCH)]
        receipts = here.keeper.keep(batch)
        at("after commit")
        for spooled, receipt in zip(batch, receipts, strict=True):
            if receipt.status == 0:
                sys.stdout.write(spooled.digest + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
