"""Every command runs beside a service at work and disturbs nothing: each step of each workflow ran exactly once.

A second process that launches the engine would take up the work of the first one again. So all commands are run while
the service analyses and delivers, and afterwards the engine's own records, the service's
log and the PACS are asked. A command that is not in the table below fails the test: whoever adds one says here how it
is run and how it ends. In the default run the commands are forks of one process that has imported everything; `make
verify` starts an interpreter for each, on both databases.
"""

import copy
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer.main
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dicom_ai import engine
from dicom_ai.classify.catalogue import DEMO
from dicom_ai.cli import app
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.patients import patient_of
from models.card import read_card
from models.signature import key_id, public_pem
from tests.e2e.pacs import Simulated
from tests.e2e.scanner import LUNG, PatientScanner, part10, studies
from tests.e2e.service import Service
from tests.peers import free_port
from tests.postgres import shared

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STEPS = {
    "settle": ["settle"],
    "analyse": ["model", "crop", "classify", "report", "queue"],
    "deliver": ["deliver"],
}
"""Steps of each workflow that ends well, in their order (dicom_ai/workflow.py)."""

KEYS = [Ed25519PrivateKey.from_private_bytes(seed * 32).public_key() for seed in (b"a", b"b")]

_PROBE = """
import importlib.abc, importlib.util, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "dbos._dbos":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            launch = module.DBOS.launch
            def told(*arguments, **options):
                with open(os.environ["LAUNCHED"], "a") as file:
                    file.write(" ".join(sys.argv) + chr(10))
                return launch(*arguments, **options)
            module.DBOS.launch = told
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Watch())
"""
"""A sitecustomize that lets a process write down that it launches the engine; nothing is loaded for it."""


@dataclass
class Place:
    """What the commands may speak of: a service at work, a PACS that has not answered yet, and files."""

    service: Service
    folder: Path
    pacs: Simulated

    @property
    def here(self) -> str:
        """The service as a node."""
        return f"DICOM_AI@127.0.0.1:{self.service.port}"

    @property
    def study(self) -> str:
        """Our id of the first study, which is at work or done."""
        (first,) = self.service.select("SELECT id FROM studies ORDER BY first_at LIMIT 1")
        return str(first[0])

    @property
    def conflict(self) -> str:
        """Number of the conflict that waits for a decision."""
        (waiting,) = self.service.select("SELECT id FROM conflicts WHERE state = 'open'")
        return str(waiting[0])

    @property
    def files(self) -> Path:
        """A folder with a still."""
        return self.folder / "files"


@dataclass(frozen=True)
class Command:
    """How a command is run beside the service.

    Attributes:
        arguments: after its name.
        code: the exit code of the contract.
        is_endless: runs until SIGTERM.
    """

    arguments: Callable[[Place], Sequence[str | Path]] = lambda _: ()
    code: int = 0
    is_endless: bool = False


COMMANDS: Mapping[str, Command] = {
    "serve": Command(lambda _: ("--port", "0"), code=3),  # the data folder is held
    "analyse": Command(lambda at: (at.files, "--task", "lung-signs", "--out", at.folder / "analysed", "--json")),
    "crop": Command(lambda at: (at.files, "--json")),
    "send": Command(lambda at: (at.files, "--to", at.here)),
    "echo": Command(lambda at: ("--to", at.here)),
    "apply": Command(lambda at: (at.service.folder / "site.toml", "--by", "beside")),
    "reasons": Command(),
    "doctor": Command(lambda _: ("--json",)),
    "validate": Command(lambda at: (at.files,)),
    "alarms": Command(),
    "studies list": Command(),
    "studies show": Command(lambda at: (at.study,)),
    "studies again": Command(lambda at: (at.study, "--by", "beside")),
    "deliveries list": Command(lambda _: ("--json",)),
    "deliveries retry": Command(lambda _: ("--destination", "pacs", "--by", "beside")),
    "deliveries release": Command(lambda _: ("--destination", "pacs", "--by", "beside")),
    "conflicts list": Command(lambda _: ("--all",)),
    "conflicts resolve": Command(lambda at: (at.conflict, "--choose", "kept", "--by", "beside")),
    "quarantine list": Command(lambda _: ("--json",)),
    "quarantine show": Command(lambda _: ("ffffffffffff",), code=2),  # nothing waits
    "quarantine approve": Command(lambda _: ("L99", "--by", "beside"), code=2),
    "quarantine layouts": Command(lambda _: ("--all",)),
    "quarantine withdraw": Command(lambda _: ("L99", "--by", "beside"), code=2),
    "quarantine discard": Command(lambda _: ("ffffffffffff", "--by", "beside", "--why", "none"), code=2),
    "show": Command(lambda at: (at.folder / "no-such.dcm",), code=2),
    "verdict": Command(lambda at: (at.folder / "no-such.dcm",), code=2),
    "verdicts list": Command(lambda _: ("--json",)),
    "recall": Command(lambda _: ("1.2.3", "--by", "beside", "--why", "none"), code=2),  # no result of that name
    "rules list": Command(),
    "rules test": Command(lambda at: (at.files, "--json")),
    "verdicts collect": Command(lambda _: ("--json",)),
    "archive pull": Command(lambda _: ("spring", "--from", "nowhere"), code=2),  # the site knows no such destination
    "archive list": Command(lambda _: ("--json",)),
    "models list": Command(lambda _: ("--json",)),
    "models verify": Command(lambda _: ("--json",)),
    "models activate": Command(lambda _: (read_card(DEMO / "lung-signs-demo").digest, "--by", "beside")),
    "models retire": Command(lambda _: ("ffffffff", "--by", "beside"), code=1),  # no such model
    "models trust": Command(lambda at: (at.folder / "new.pub", "--by", "beside")),
    "models distrust": Command(lambda _: (key_id(KEYS[0]), "--by", "beside")),
    "simulate scanner": Command(lambda at: ("--exam", "uterus", "--seed", "8", "--to", at.here)),
    "simulate pacs": Command(
        lambda at: ("--port", str(free_port()), "--out", at.folder / "other-pacs"), is_endless=True
    ),
}
EXCLUDED = {
    "bench crop": "knows no service, data folder or ledger; tests/unit/test_bench_crop.py runs it",
    "demo": "brings a service of its own, in a folder of its own, and empties it; tests/e2e/test_demo.py runs it",
}


@dataclass
class Done:
    """What a command did, and how many workflows were running when it began and when it ended."""

    code: int
    said: str
    running: tuple[int, int]


@dataclass
class Ran:
    """Everything that is left when all commands have run and the service has stopped."""

    service: Service
    pacs: Simulated
    done: dict[str, Done]
    acknowledged: Mapping[str, str]
    launched: str
    roles: tuple[Mapping[str, int | None], Mapping[str, int | None]]  # before the commands and after them
    stop_code: int = -1
    workflows: list[Any] = field(default_factory=list)
    steps: dict[str, list[Any]] = field(default_factory=dict)

    def log(self, event: str) -> list[dict[str, Any]]:
        """Lines of the service's log."""
        lines = self.service.log.read_text(errors="replace").splitlines()
        return [row for row in (json.loads(line) for line in lines if line.startswith("{")) if row["event"] == event]


def commands_of(group: Any, before: str = "") -> Iterator[str]:
    """Names of every command of a group, as they are typed; a group without a command has none yet."""
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from commands_of(one, f"{before}{name} ")
        else:
            yield f"{before}{name}"


@contextmanager
def at_work(folder: Path, database_url: str) -> Iterator[tuple[Place, PatientScanner]]:
    """A service with studies on their way and a conflict, at work as long as its PACS keeps its first answer back."""
    with Simulated(folder / "pacs", is_held=True) as pacs:
        patient = {"DICOM_AI_DELIVER__CONNECT_TIMEOUT_S": "60", "DICOM_AI_DELIVER__RESPONSE_TIMEOUT_S": "600"}
        one = Service(folder / "service", database_url=database_url, **patient)
        place = Place(one, folder, pacs)
        place.files.mkdir()
        (still,) = exam("lung", seed=3, patient=patient_of(3), content=(Shot(frozenset({"b_lines"})),))
        (place.files / "still.dcm").write_bytes(part10(still))
        try:
            one.apply(pacs.target())
            put_keys(place)
            one.start()
            first, other = disputed()
            scanner = PatientScanner([first, *studies(2, content=LUNG)], one.port, limit_s=120)
            scanner.start()
            scanner.wait()
            again = PatientScanner([other], one.port, limit_s=120)
            again.start()
            again.wait()
            one.wait_until(lambda: pacs.wire != [], 60, "a delivery that waits for its answer")
            yield place, scanner
        finally:
            one.close()


def disputed() -> list[Exam]:
    """A study of one still, and the same SOP Instance UID again with a comment."""
    (first,) = studies(1, content=LUNG[:1], seed=50)
    other = copy.deepcopy(first)
    other.objects[0].PatientComments = "sent twice"
    return [first, other]


def put_keys(place: Place) -> None:
    """A key whose signatures count, and one that may be trusted."""
    trust = place.service.data / "trust"
    trust.mkdir(mode=0o700)
    (trust / f"{key_id(KEYS[0])}.pub").write_bytes(public_pem(KEYS[0]))
    (place.folder / "new.pub").write_bytes(public_pem(KEYS[1]))


def n_running(one: Service) -> int:
    """Workflows that are running."""
    return int(one.select("SELECT count(*) FROM workflow_status WHERE status = 'PENDING'")[0][0])


Runner = Callable[[list[str], bool], tuple[int, str]]
"""Runs `dicom-ai` with arguments to its end, an endless one until SIGTERM: exit code, what it said."""


@contextmanager
def starting(one: Service, env: Mapping[str, str]) -> Iterator[Runner]:
    """Each command in an interpreter of its own, as a person starts it."""

    def start(arguments: list[str], is_endless: bool) -> tuple[int, str]:
        line = [sys.executable, "-m", "dicom_ai", *arguments]
        process = subprocess.Popen(
            line, cwd=one.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            if is_endless:
                assert process.stdout is not None
                process.stdout.readline()
                process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=120)
        finally:
            process.kill()
        return process.returncode, said

    yield start


@contextmanager
def forking(one: Service, env: Mapping[str, str]) -> Iterator[Runner]:
    """Each command in a process of its own, all of which share what one process has imported."""
    program = [sys.executable, "-m", "tests.contract.forking"]
    with subprocess.Popen(
        program, cwd=one.folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())

        def fork(arguments: list[str], is_endless: bool) -> tuple[int, str]:
            with socket.create_connection(("127.0.0.1", port), 120) as peer, peer.makefile("rw") as line:
                line.write(f"{json.dumps(arguments)}\n")
                line.flush()
                pid = int(line.readline())
                if is_endless:
                    line.readline()
                    os.kill(pid, signal.SIGTERM)
                said, _, code = line.read().rstrip().rpartition("\n")
            return int(code), said

        try:
            yield fork
        finally:
            process.stdin.close()
    assert process.returncode == 0


def run_beside(place: Place, name: str, run: Runner) -> Done:
    """Run one command to its end."""
    one, command = place.service, COMMANDS[name]
    before = n_running(one)
    code, said = run([*name.split(), *map(str, command.arguments(place))], command.is_endless)
    return Done(code, said, (before, n_running(one)))


@pytest.fixture(
    scope="module",
    params=[
        ("sqlite", forking),
        pytest.param(("sqlite", starting), marks=pytest.mark.verify),
        pytest.param(("postgresql", starting), marks=pytest.mark.verify),
    ],
    ids=["sqlite", "sqlite, an interpreter each", "postgresql"],
)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("beside")
    database, running = request.param
    url = shared().new_database() if database == "postgresql" else ""
    probe = folder / "probe"
    probe.mkdir()
    (probe / "sitecustomize.py").write_text(_PROBE)
    launched = probe / "launched"
    launched.touch()
    with at_work(folder, url) as (place, scanner):
        one = place.service
        before = {name: one.pid_of(name) for name in ("supervisor", "receive", "work")}
        env = one.beside() | {"LAUNCHED": str(launched)}
        env["PYTHONPATH"] = os.pathsep.join([str(probe), env["PYTHONPATH"]])
        with running(one, env) as run, ThreadPoolExecutor(2) as two:  # as when several people look after one thing
            found = two.map(lambda name: run_beside(place, name, run), COMMANDS)
            done = dict(zip(COMMANDS, found, strict=True))
        after = {name: one.pid_of(name) for name in before}
        place.pacs.answer()
        one.wait_until(one.is_at_rest, 120, "everything to be answered and delivered")
        left = Ran(one, place.pacs, done, scanner.acknowledged, launched.read_text(), (before, after))
        left.stop_code = one.stop()
        with closing_client(url or f"sqlite:///{one.data / 'ledger.sqlite'}") as client:
            left.workflows = client.list_workflows(load_output=False)
            left.steps = {flow.workflow_id: client.list_workflow_steps(flow.workflow_id) for flow in left.workflows}
        yield left
    if url:
        shared().drop(url)


@contextmanager
def closing_client(url: str) -> Iterator[Any]:
    client = engine.client(url)
    try:
        yield client
    finally:
        client.destroy()


def test_every_command_is_in_the_table() -> None:
    there = set(commands_of(typer.main.get_group(app)))
    assert there == set(COMMANDS) | set(EXCLUDED)
    assert not set(COMMANDS) & set(EXCLUDED)
    assert all(EXCLUDED.values())


def test_every_command_ends_as_the_contract_says(ran: Ran) -> None:
    found = {name: done.code for name, done in ran.done.items()}
    expected = {name: command.code for name, command in COMMANDS.items()}
    wrong = {name: ran.done[name].said[-1500:] for name in expected if found[name] != expected[name]}
    assert found == expected, wrong
    assert not [name for name, done in ran.done.items() if "Traceback" in done.said]


def test_the_service_was_at_work_beside_every_command(ran: Ran) -> None:
    """Otherwise the other tests prove nothing."""
    idle = [name for name, done in ran.done.items() if min(done.running) < 1]
    assert not idle


def test_no_command_launched_the_engine(ran: Ran) -> None:
    assert ran.launched == ""
    assert len({flow.executor_id for flow in ran.workflows}) == 1


def test_every_step_of_every_workflow_ran_once(ran: Ran) -> None:
    assert {flow.status for flow in ran.workflows} == {"SUCCESS"}
    assert Counter(flow.name for flow in ran.workflows).keys() == STEPS.keys()
    again = [flow.workflow_id for flow in ran.workflows if flow.recovery_attempts != 1]
    assert not again, f"workflows that were begun more than once: {again}"
    for flow in ran.workflows:
        assert [step["function_name"] for step in ran.steps[flow.workflow_id]] == STEPS[flow.name], flow.workflow_id


def test_the_service_itself_ran_every_step_and_once(ran: Ran) -> None:
    """Its log tells of every step it took; one that another process took, or that came twice, would show."""
    n_of = Counter(flow.name for flow in ran.workflows)
    assert len(ran.log("looked at the set")) == n_of["settle"]
    closed = {set_id for (set_id,) in ran.service.select("SELECT id FROM sets WHERE state = 'closed'")}
    for event in ("cropped", "classified", "reported"):
        assert Counter(row["set"] for row in ran.log(event)) == dict.fromkeys(closed, 1), event
    assert len(closed) == n_of["analyse"]


def test_every_object_went_out_once(ran: Ran) -> None:
    assert set(Counter(uid for uid, _ in ran.pacs.wire).values()) == {1}
    (said,) = ran.service.select("SELECT min(attempts), max(attempts) FROM deliveries")
    in_vain = ran.log("unreachable")  # a call that a busy machine's PACS did not take in time counts as an attempt
    assert said == (1, 1) or (said[0] == 1 and in_vain), "an attempt without a call in vain"
    assert set(ran.acknowledged) <= {uid for uid, _ in ran.pacs.wire}


def test_the_service_goes_on(ran: Ran) -> None:
    assert ran.roles[0] == ran.roles[1]
    assert ran.log("role died") == []
    assert ran.stop_code == 0
    assert ran.service.processes() == {}
