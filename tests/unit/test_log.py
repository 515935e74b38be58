"""What gets into a log line, and what does not."""

import json
import subprocess
import sys

PROGRAM = """
import logging, warnings
from dicom_ai import log
log.configure("debug", "json")
log.get_logger().info("received", study="s1", patient="Wang^Canary")
logging.getLogger("pydicom").warning("Invalid value 'Wang^Canary'")
warnings.warn("Invalid value 'Wang^Canary'")
assert log.dropped["patient"] == 1
"""
FAULTS = """
import logging, threading
from dicom_ai import log
log.configure("debug", "json")
from dbos._logger import init_logger
init_logger()  # what the engine does when it starts
logging.getLogger("dbos").error("failed: Wang^Canary")
def fail():
    raise ValueError("cannot convert 'Wang^Canary'")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def lines(program: str = PROGRAM, code: int = 0) -> list[dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", code)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_only_allowed_keys_get_through():
    assert lines()[0] | {"timestamp": 0} == {"event": "received", "level": "info", "study": "s1", "timestamp": 0}


def test_records_and_warnings_of_libraries_lose_their_text():
    said = [(line["event"], line["logger"]) for line in lines()[1:]]
    assert said == [("library record", "pydicom"), ("library record", "py.warnings")]
    assert all("Canary" not in json.dumps(line) for line in lines())


def test_warnings_about_elements_are_no_news_for_operators():
    assert [line["level"] for line in lines()] == ["info", "debug", "debug"]


def test_errors_that_nobody_caught_and_the_engine_lose_their_text():
    engine, thread, main = lines(FAULTS, code=1)
    assert (engine["event"], engine["logger"]) == ("library record", "dbos")
    for fault in (thread, main):
        assert fault["event"] == "fault"
        assert str(fault["error"]).startswith("ValueError at ")
    assert "Canary" not in json.dumps([engine, thread, main])
