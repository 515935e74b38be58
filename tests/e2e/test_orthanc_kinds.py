"""Every kind of result through Debian's Orthanc and back: equal data sets, previews that decode, a true study list.

Results are built here and sent by `dicom-ai send`'s own code; the way through the service is another test's.
"""

import json
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array

from dicom_ai.deliver.address import Address
from dicom_ai.deliver.paths import send_paths
from dicom_ai.report.assessed import Assessment
from dicom_ai.report.capture import Shown, capture
from dicom_ai.report.header import part10
from dicom_ai.report.rejection import Recall, rejection_note
from dicom_ai.report.structured import SR_CLASSES, structured_report
from dicom_ai.report.verdict import Reader, verdict_report
from dicom_ai.settings import Deliver
from tests.builders_report import BOX, NAMESPACE, linked, lung, named, source
from tests.peers import Orthanc, orthanc

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CLIP_FRAMES = 3
SEED = 20261122


def picture(frames: int) -> np.ndarray:
    """Smooth coloured frames, each another one: what JPEG takes without visible loss."""
    coarse = np.random.default_rng(SEED).integers(0, 256, (frames, 6, 8, 3), np.uint8)
    return np.stack([cv2.resize(one, (640, 480), interpolation=cv2.INTER_CUBIC) for one in coarse])


def results() -> dict[str, Dataset]:
    """Name of a kind -> one object of it."""
    still, clip = source(1), source(2, frames=CLIP_FRAMES)
    content, made = lung([still, clip]), {}
    for number, (name, header) in enumerate((("still capture", still), ("clip capture", clip))):
        numbers = tuple(range(1, int(header.get("NumberOfFrames", 1)) + 1))
        shown = Shown(picture(len(numbers)), numbers, "b_lines" if number else None, number, BOX)
        made[name] = capture(content.analysis, header, shown)
        content = linked(content, made[name], number, "b_lines" if number else None)
    captures = list(made.values())
    for sop_class in SR_CLASSES:
        made[f"report {sop_class}"] = structured_report(content, [still, clip], captures, sop_class=sop_class)
    report = made[f"report {SR_CLASSES[0]}"]
    said = [Assessment(str(item.UID), "REJECTED") for item in named(report, "112040")]
    reader = Reader("Muster^Doktor", "Invented Hospital", "2026-01-03T08:15:00")
    made["verdict"] = verdict_report(report, said, (), reader, namespace=NAMESPACE)
    recall = Recall("Muster^Doktor", "Of another patient.", "2026-01-05T09:00:00")
    made["note"] = rejection_note([report, *captures], recall, namespace=NAMESPACE)
    return made


@dataclass(frozen=True)
class Held:
    """What was sent by kind, and Orthanc's own id of each."""

    pacs: Orthanc
    sent: dict[str, bytes]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "orthanc").mkdir()
    sent = {name: part10(ds) for name, ds in results().items()}
    uids = {
        str(dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID): name for name, content in sent.items()
    }
    assert len(uids) == len(sent)
    for number, content in enumerate(sent.values()):
        (folder / f"{number}.dcm").write_bytes(content)
    with orthanc(folder / "orthanc") as pacs:
        address = Address(pacs.ae_title, pacs.host, pacs.port)
        rows = list(send_paths(sorted(folder.glob("*.dcm")), address, Deliver(response_timeout_s=10.0)))
        assert [(row["status"], row["dimse"]) for row in rows] == [("sent", "0x0000")] * len(sent)
        ids = {
            uids[json.loads(pacs.get(f"/instances/{one}"))["MainDicomTags"]["SOPInstanceUID"]]: one
            for one in pacs.instances()
        }
        assert ids.keys() == sent.keys()
        yield Held(pacs, sent, ids)


KINDS = ("still capture", "clip capture", *(f"report {one}" for one in SR_CLASSES), "verdict", "note")


def test_there_is_one_of_each_kind(held: Held) -> None:
    assert tuple(held.sent) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_orthanc_gives_back_what_was_sent(held: Held, kind: str) -> None:
    sent, back = dcmread(BytesIO(held.sent[kind])), dcmread(BytesIO(held.pacs.download(held.ids[kind])))
    assert back == sent
    assert back.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
    assert back.SOPClassUID == sent.SOPClassUID


@pytest.mark.parametrize(("kind", "frame"), [("still capture", 0), ("clip capture", 0), ("clip capture", 2)])
def test_a_capture_has_a_preview_of_its_own_pixels(held: Held, kind: str, frame: int) -> None:
    ds = dcmread(BytesIO(held.sent[kind]))
    wanted = pixel_array(
        ds, index=frame, decoding_plugin="gdcm" if ds.file_meta.TransferSyntaxUID.is_compressed else ""
    )
    preview = held.pacs.get(f"/instances/{held.ids[kind]}/frames/{frame}/preview")
    shown = cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert shown.shape == (480, 640, 3)
    assert np.abs(shown.astype(int) - wanted).mean() < 3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "capture" not in kind])
def test_a_document_has_no_preview(held: Held, kind: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        held.pacs.get(f"/instances/{held.ids[kind]}/preview")
    caught.value.close()
    assert caught.value.code == 415


def test_the_study_list_says_what_there_is(held: Held) -> None:
    """QIDO-RS (PS3.18 10.6): modality, description and count of each series."""
    made = [dcmread(BytesIO(content), stop_before_pixels=True) for content in held.sent.values()]
    wanted = {
        str(ds.SeriesInstanceUID): (
            str(ds.Modality),
            str(ds.SeriesDescription),
            sum(other.SeriesInstanceUID == ds.SeriesInstanceUID for other in made),
        )
        for ds in made
    }
    found = json.loads(held.pacs.get(f"/dicom-web/studies/{made[0].StudyInstanceUID}/series?includefield=all"))
    listed = {
        one["0020000E"]["Value"][0]: (
            one["00080060"]["Value"][0],
            one["0008103E"]["Value"][0],
            one["00201209"]["Value"][0],
        )
        for one in found
    }
    assert listed == wanted
    (study,) = json.loads(held.pacs.get(f"/dicom-web/studies?StudyInstanceUID={made[0].StudyInstanceUID}"))
    assert sorted(study["00080061"]["Value"]) == ["KO", "OT", "SR"]
