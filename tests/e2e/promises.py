"""What must hold after a run, whatever happened in it: compares what the scanner sent, the ledger and the PACS.

What this is not: a look at contents. That a result is valid DICOM and says the right thing is shown elsewhere.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.ports import data_set_digest
from tests.e2e.service import Service
from tests.stored import dataset_bytes

SR_CLASSES = ("1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.22")


@dataclass(frozen=True)
class Arrived:
    """One object as the PACS holds it."""

    header: Dataset
    digest: str

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.header.SOPInstanceUID)

    @property
    def is_report(self) -> bool:
        """Whether it is a structured report."""
        return str(self.header.SOPClassUID) in SR_CLASSES


def arrived(files: Sequence[bytes]) -> list[Arrived]:
    """Read the Part 10 files of a PACS."""
    found = []
    for content in files:
        header = dcmread(BytesIO(content), stop_before_pixels=True)
        syntax = str(header.file_meta.TransferSyntaxUID)
        found.append(Arrived(header, data_set_digest(dataset_bytes(content), syntax)))
    return found


def check(service: Service, acknowledged: Mapping[str, str], files: Sequence[bytes]) -> None:
    """Fail unless every promise was kept.

    Args:
        service: at rest.
        acknowledged: SOP Instance UID -> digest of what the scanner sent, of every object answered with 0x0000.
        files: Part 10 files the PACS holds.
    """
    there = arrived(files)
    n_of = Counter(one.uid for one in there)
    doubled = [uid for uid, count in n_of.items() if count > 1]
    assert not doubled, f"kept more than once by the PACS (with other bytes): {doubled}"
    at_pacs = {one.uid: one.digest for one in there}
    _check_originals(service, acknowledged, at_pacs)
    _check_results(service, acknowledged, there, at_pacs)
    quarantined = service.select("SELECT reason, count(*) FROM objects WHERE state = 'quarantined' GROUP BY 1")
    assert not quarantined, f"quarantined although nothing is wrong with them: {quarantined}"
    (left,) = service.select("SELECT count(*) FROM deliveries WHERE state NOT IN ('sent', 'confirmed')")
    assert left == (0,), f"deliveries that did not reach their destination\n{service.diagnosis()}"


def check_nothing_is_left(service: Service) -> None:
    """Fail if a service that has stopped left a process, a job that did not end well, or a file in the spool."""
    assert service.processes() == {}
    jobs = service.select("SELECT name, status, count(*) FROM workflow_status WHERE status <> 'SUCCESS' GROUP BY 1, 2")
    assert not jobs, f"jobs that are stuck or failed: {jobs}"
    spool = [path.name for path in (service.data / "spool").rglob("*") if path.is_file()]
    assert not spool, f"left in the spool: {spool}"


def _check_originals(service: Service, acknowledged: Mapping[str, str], at_pacs: Mapping[str, str]) -> None:
    stored = dict(service.select("SELECT sop_uid, digest FROM objects"))
    assert stored == dict(acknowledged), "the ledger holds other objects than were acknowledged"
    for digest in stored.values():
        assert digest_of_stored(service, digest) == digest, "a stored file is not what its name says"
    lost = [uid for uid in acknowledged if uid not in at_pacs]
    assert not lost, f"{len(lost)} acknowledged objects never reached the PACS"
    changed = [uid for uid, digest in acknowledged.items() if at_pacs[uid] != digest]
    assert not changed, f"{len(changed)} objects reached the PACS with other bytes"


def _check_results(
    service: Service, acknowledged: Mapping[str, str], there: Sequence[Arrived], at_pacs: Mapping[str, str]
) -> None:
    results = dict(service.select("SELECT uid, digest FROM results"))
    assert set(at_pacs) - set(acknowledged) == set(results), "the PACS holds other results than the ledger"
    assert {uid: at_pacs[uid] for uid in results} == results, "a result was sent with other bytes than stored"
    for digest in results.values():
        assert digest_of_stored(service, digest) == digest
    studies = {study for (study,) in service.select("SELECT study_uid FROM studies")}
    reports = Counter(str(one.header.StudyInstanceUID) for one in there if one.is_report)
    assert reports == dict.fromkeys(studies, 1), f"not one report per study: {reports}\n{service.diagnosis()}"
    sets = service.select("SELECT study, task, count(*) FROM sets GROUP BY study, task HAVING count(*) > 1")
    assert not sets, f"a study came in more than one set: {sets}"


def digest_of_stored(service: Service, digest: str) -> str:
    """The digest of a stored file, calculated again."""
    content = (service.data / "store" / digest[:2] / f"{digest}.dcm").read_bytes()
    syntax = str(dcmread(BytesIO(content), stop_before_pixels=True).file_meta.TransferSyntaxUID)
    return data_set_digest(dataset_bytes(content), syntax)
