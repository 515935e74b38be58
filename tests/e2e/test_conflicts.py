"""Real objects over one association, with the mistakes real devices make: several contents under one UID, and one
study with two Patient IDs. Then a person decides, by the commands, beside the running service.
"""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.e2e.pacs import Simulated
from tests.e2e.promises import arrived
from tests.e2e.service import Service, rows

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "us"
FILES = sorted(SHARED.glob("*.dcm"))
EVERYTHING = '[[routes]]\ntask = "lung-signs"\n'

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(280),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of the objects, which are as makers wrote them
    pytest.mark.skipif(len(FILES) < 29, reason="needs the shared test objects"),
    pytest.mark.skipif(shutil.which("dcmsend") is None, reason="needs dcmsend (Debian package dcmtk)"),
]


@dataclass(frozen=True)
class Sent:
    """What was sent to which service, and its PACS."""

    service: Service
    pacs: Simulated
    answers: list[str]
    count: Counter[str]  # files by SOP Instance UID

    def contents(self) -> dict[str, list[str]]:
        """SOP Instance UID -> digests in the order received; dcmsend encodes anew, so files do not tell them."""
        found: dict[str, list[str]] = {}
        uid_of = dict(self.service.select("SELECT digest, sop_uid FROM objects"))
        for (ids,) in self.service.select("SELECT ids FROM events WHERE kind = 'received' ORDER BY seq"):
            digest = json.loads(ids)["object"]
            found.setdefault(uid_of[digest], []).append(digest)
        return found


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    folder = tmp_path_factory.mktemp("conflicts")
    count = Counter(str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in FILES)
    with Simulated(folder / "pacs") as pacs:
        one = Service(folder / "service")
        try:
            one.apply(pacs.target(), routes=EVERYTHING)
            one.start()
            yield Sent(one, pacs, dcmsend(one.port), count)
            assert one.stop() == 0
        finally:
            one.close()


def dcmsend(port: int) -> list[str]:
    """Send all files over one association, decoding nothing; the statuses that came back."""
    command = ["dcmsend", "-v", "-dn", "-aec", "DICOM_AI", "127.0.0.1", str(port), *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return [line.rsplit("(", 1)[1] for line in said.splitlines() if "Received C-STORE Response" in line]


def test_all_29_are_answered_with_success_and_23_stand(sent: Sent) -> None:
    assert sent.answers == ["Success)"] * 29
    one = sent.service
    one.wait_until(one.is_at_rest, 200, "everything to come to rest")
    there = one.select("SELECT sop_uid, digest, state FROM objects")
    stands = {uid: digest for uid, digest, state in there if state != "conflict"}
    assert len(stands) == 23
    contents = sent.contents()
    assert contents.keys() == sent.count.keys()
    assert stands == {uid: digests[0] for uid, digests in contents.items()}, "the first of each stands"
    waits = {digest for _, digest, state in there if state == "conflict"}
    assert waits == {digest for digests in contents.values() for digest in digests[1:]}
    # Of the six others dcmsend makes two the same again: it sends big endian copies in little endian.
    assert (len(waits), sent.count.total() - len(there)) == (4, 2)
    assert sorted(sent.count[uid] for uid, digests in contents.items() if len(digests) < sent.count[uid]) == [2, 4]


def test_conflicts_and_the_mixed_study_are_rows_without_a_patient(sent: Sent) -> None:
    done = sent.service.command("conflicts", "list", "--json")
    assert done.returncode == 0, done.stderr
    found = rows(done.stdout)
    assert Counter(row["kind"] for row in found) == {"object": 4, "patient": 1}
    assert {row["peer"] for row in found if row["kind"] == "object"} == {"DCMSEND"}
    digests = {side["digest"] for row in found if row["kind"] == "object" for side in row["choices"]}
    assert digests == {one for contents in sent.contents().values() if len(contents) > 1 for one in contents}
    (mixed,) = (row for row in found if row["kind"] == "patient")
    assert mixed["differs"] == ["PatientID"]
    assert [side["objects"] for side in mixed["choices"]] == [1, 1]
    quarantined = sent.service.select("SELECT study FROM objects WHERE reason = 'mixed_patient'")
    assert quarantined == [(mixed["study"],)] * 2
    names = sent.service.select("SELECT patient_name, patient_id FROM identity")
    assert names
    assert not [text for row in names for text in row if len(text) > 3 and text in done.stdout]


def test_nothing_of_a_conflict_reached_the_pacs(sent: Sent) -> None:
    waits = {digest for contents in sent.contents().values() for digest in contents[1:]}
    there = arrived(sent.pacs.received())
    assert {one.digest for one in there} & waits == set()
    assert {contents[0] for contents in sent.contents().values()} <= {one.digest for one in there}
    (mixed,) = sent.service.select("SELECT DISTINCT study FROM objects WHERE reason = 'mixed_patient'")
    results = "SELECT count(*) FROM deliveries WHERE study = ? AND kind != 'source'"
    assert sent.service.select(results, *mixed) == [(0,)], "no result of a study with two patients"


def test_what_a_person_chooses_arrives_and_a_revision_follows(sent: Sent) -> None:
    """Runs last: it changes what stands."""
    one = sent.service
    listed = rows(one.command("conflicts", "list", "--json").stdout)
    conflict = next(row for row in listed if row["kind"] == "object")
    (patient,) = (row for row in listed if row["kind"] == "patient")
    kept, new = (side["digest"] for side in conflict["choices"])
    assert one.command("conflicts", "resolve", str(conflict["id"]), "--choose", "new", "--by", "me").returncode == 0
    number = patient["choices"][0]["choose"]
    assert one.command("conflicts", "resolve", str(patient["id"]), "--choose", number).returncode == 0
    one.wait_until(lambda: new in {one.digest for one in arrived(sent.pacs.received())}, 60, "the object chosen")
    one.wait_until(one.is_at_rest, 120, "the revisions to be answered and delivered")
    states = dict(one.select("SELECT digest, state FROM objects WHERE digest IN (?, ?)", kept, new))
    assert states.pop(kept) == "replaced"
    assert states[new] in {"analysed", "quarantined"}  # by what its crop says
    for study in (conflict["study"], patient["study"]):
        newest = one.select("SELECT max(revision), state FROM sets WHERE study = ?", study)
        assert newest == [(2, "closed")]
    members = 'SELECT m.object FROM members m JOIN sets s ON s.id = m."set" WHERE s.study = ? AND s.revision = 2'
    assert (new,) in one.select(members, conflict["study"])
    assert (kept,) not in one.select(members, conflict["study"])
    recalled = rows(one.command("conflicts", "list", "--all", "--json").stdout)
    (decided,) = (row for row in recalled if row["id"] == conflict["id"])
    assert {"source"} <= {row["kind"] for row in decided["recall"]}
    left = one.select(
        "SELECT count(*) FROM alarms WHERE state = 'open' AND conflict IN (?, ?)", conflict["id"], patient["id"]
    )
    assert left == [(0,)]
