"""Headers of real objects, if they lie beside the repository: each can be exported, proven, and satisfies validators.

The pixels are made up, so that also objects the crop refuses lend their headers: character sets, private blocks,
missing and odd attributes as scanners write them.
"""

import warnings
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_ai.crop.export.build import Site, build
from dicom_ai.crop.export.proof import Made, prove
from dicom_ai.crop.export.pseudonym import Pseudonyms
from dicom_ai.crop.words import identity_texts
from tests.e2e.validators import errors_of
from tests.exports import pixels
from tests.unit.test_export_profile import REPLACED, through_the_table

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "us"
FILES = sorted(FOLDER.glob("*.dcm"))
SITE = Site(Pseudonyms("7" * 64))

pytestmark = pytest.mark.skipif(not FILES, reason=f"the real objects are not there ({FOLDER})")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_real_header_is_exported_and_proven(file, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about the source
        header = dcmread(file, stop_before_pixels=True)
    kept = pixels(int(header.get("NumberOfFrames") or 1))
    data = build(header, kept, SITE)
    assert prove(Made(data, header, kept, SITE), None) == ()
    out = tmp_path / "object.dcm"
    out.write_bytes(data)
    assert errors_of(out) == []
    ds = dcmread(BytesIO(data))
    removed, changed = through_the_table(ds)
    assert removed == set()
    assert changed <= REPLACED
    attributes = data[: data.index(kept.frames.tobytes()[:4096])]
    long_texts = {text for text in identity_texts(header) if len(text) >= 12 and not text.startswith("ISO_")}
    assert long_texts
    assert not [text for text in long_texts if text.encode("utf-8") in attributes]
