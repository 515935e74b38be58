"""A worker process with jobs of three steps: `URL PLACE FOLDER`. What each step did is appended to FOLDER/done.

Step `two` waits until FOLDER/go exists. Everything else is as in `service.work_role`.
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

from dbos import DBOS

from dicom_ai import engine
from dicom_ai.watchdog import seated


def main(url: str, place: str, folder: Path) -> None:
    def note(step: str, job: str) -> str:
        fd = os.open(folder / "done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, f"{step} {job} {seat.executor}\n".encode())
        os.close(fd)
        return step

    def wait(job: str) -> None:
        note("begun", job)
        while not (folder / "go").exists():
            time.sleep(0.02)

    def register() -> None:
        @DBOS.workflow(name="analyse", max_recovery_attempts=engine.MAX_RECOVERIES)
        def analyse(job: str) -> None:
            engine.step("one", note, "one", job)
            engine.step("two", wait, job)
            engine.step("three", note, "three", job)

    client = engine.client(url)
    with seated(url, place) as seat:
        engine.retire(client, seat.executor)
        engine.launch(url, register, workers=1, executor=seat.executor, fence=seat.require)
        seat.watch(partial(engine.running, client), partial(engine.take_over, client))
        sys.stdout.write(f"{seat.executor}\n")
        sys.stdout.flush()
        sys.stdin.read()
        engine.stop(10)
    client.destroy()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
