"""A study with more kinds of objects than one association can propose: everything arrives, the report too."""

from pathlib import Path

import torch
from pydicom import dcmread
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AllStoragePresentationContexts

from dicom_ai.deliver.negotiate import MAX_CONTEXTS
from dicom_ai.instance import ULTRASOUND_CLASSES
from dicom_ai.simulate.exam import Shot
from dicom_ai.site import SiteTables
from tests.stored import stored
from tests.workplace import destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)


def test_more_contexts_than_an_association_holds(tmp_path: Path) -> None:
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    others = sorted(set(classes) - ULTRASOUND_CLASSES)[:13]
    syntaxes = [uid for uid in AllTransferSyntaxes if uid.is_encapsulated][:10]
    (still,) = lung(Shot(frozenset({"b_lines"})))
    (tmp_path / "in").mkdir()
    objects = []
    pairs = [(sop_class, syntax) for sop_class in others for syntax in syntaxes]
    for number, (sop_class, syntax) in enumerate(pairs[: MAX_CONTEXTS - 3]):
        ds = dcmread(stored(tmp_path / "in", number, sop_class=sop_class, syntax=syntax).path)
        ds.StudyInstanceUID = still.StudyInstanceUID
        ds.PatientID = still.PatientID
        objects.append(ds)
    # With the still and its capture one place is left, and a report asks for five more that belong together.
    assert len(objects) + 2 == MAX_CONTEXTS - 1
    with small_cropper() as cropper, pacs(tmp_path / "pacs") as peer:
        site = SiteTables(destinations=(destination(peer.port),))
        work = workplace(tmp_path / "data", cropper, [tiny(tmp_path / "model")], site=site)
        work.answered(still, *objects)
        work.deliver()
    assert {(row.state, row.attempts) for row in work.deliveries()} == {("sent", 1)}
    assert peer.kinds().count("report") == 1
    assert len(peer.rows) == len(objects) + 3
