"""Sources full of identity and small kept pixels, for the tests of exports. Every name here is made up."""

from io import BytesIO
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.crop.emit import kept
from dicom_ai.crop.export.build import Site
from dicom_ai.crop.export.pseudonym import Pseudonyms
from dicom_ai.crop.polygon import box_of
from dicom_ai.kept import CropOutcome, Kept, mask_of
from dicom_ai.report.header import file_meta, part10

ROWS, COLUMNS = 48, 64
SECTOR = ((20.0, 10.0), (44.0, 10.0), (58.0, 40.0), (6.0, 40.0))
SITE = Site(Pseudonyms("5" * 64), frozenset({("GE", "LOGIQE9")}))
NAME, ID, ACCESSION = "Testperson^Quirina", "QX-4471-92", "ACC7719034"


class Reader:
    """Finds what it was made with, whatever it is shown."""

    def __init__(self, *found: Any) -> None:
        self.found = found

    def find(self, frames: np.ndarray) -> tuple[Any, ...]:
        assert frames.ndim == 4
        return self.found


BLIND = Reader()


def pixels(frames: int = 1, channels: int = 1, *, blanked: tuple[tuple[int, int, int, int], ...] = ()) -> Kept:
    """Kept pixels of a sector, never zero inside."""
    box = box_of(mask_of((SECTOR,), ROWS, COLUMNS))
    outcome = CropOutcome(
        "cropped", None, ROWS, COLUMNS, frames, keep=(SECTOR,), blanked=blanked, box=box, votes={"support": {}}
    )
    source = np.random.default_rng(7).integers(1, 256, (frames, ROWS, COLUMNS, channels), np.uint8)
    return kept(source, range(1, frames + 1), outcome)


def source(frames: int = 1, **changes: Any) -> Dataset:
    """The header of an object as it is read from its bytes; None takes an attribute out."""
    return read(plain(frames, **changes))


def plain(frames: int = 1, **changes: Any) -> Dataset:
    """The same as it was before it was written."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1" if frames > 1 else "1.2.840.10008.5.1.4.1.1.6.1"
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.1774018942.1", "1.2.3.77.2", "1.2.3.77.3"
    ds.PatientName, ds.PatientID, ds.AccessionNumber = NAME, ID, ACCESSION
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19610518", "F", "063Y"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20240304"
    ds.StudyTime, ds.SeriesTime, ds.AcquisitionTime, ds.ContentTime = "081500", "081510.25", "0817", "081730"
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "US", "GE Healthcare", "LOGIQE9"
    ds.InstitutionName, ds.OperatorsName, ds.DeviceSerialNumber = "Nowhere Clinic", "Operatrix^Ina", "SN-99120-X"
    ds.ImageType, ds.BodyPartExamined, ds.Laterality = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"], "LUNG", "L"
    ds.SeriesNumber, ds.InstanceNumber = 1, 7
    ds.Rows, ds.Columns, ds.BitsAllocated = ROWS, COLUMNS, 8
    if frames > 1:
        ds.NumberOfFrames, ds.FrameTime, ds.CineRate, ds.FrameIncrementPointer = frames, "22.152", 45, 0x00181063
    ds.SequenceOfUltrasoundRegions = [region()]
    for keyword, value in changes.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    ds.file_meta = file_meta(ds, "1.2.840.10008.1.2.1")
    return ds


def region(**changes: Any) -> Dataset:
    """A 2D region of tissue around the sector."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0, item.RegionLocationMaxX1, item.RegionLocationMaxY1 = (
        2,
        5,
        60,
        45,
    )
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = 0.0167
    item.ReferencePixelX0, item.ReferencePixelY0 = 30, -4
    item.TransducerFrequency = 5000
    for keyword, value in changes.items():
        setattr(item, keyword, value)
    return item


def read(ds: Dataset) -> Dataset:
    """Write and read again: elements are raw, as those of a file."""
    return dcmread(BytesIO(part10(ds)), stop_before_pixels=True)
