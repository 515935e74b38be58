"""Turns a screen into a data set with the attributes a LOGIQ E9 writes, and nothing of what was drawn.

What this is not: an anonymiser or a converter; it only ever holds invented patients.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import simplejpeg
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit

from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME
from dicom_ai.simulate.geometry import Grey
from dicom_ai.simulate.patients import Patient
from dicom_ai.simulate.screen import Screen

ExamKind = Literal["lung", "uterus"]

NAMESPACE = uuid.UUID("6d0d3b5e-55c4-5a53-9a0d-7f0c5a7b1e09")
FRAME_TIME_MS = 33.33
JPEG_QUALITY = 92
DESCRIPTION = {"lung": "Lung ultrasound", "uterus": "Transvaginal ultrasound"}
PROBE = {"lung": "C1-6-D", "uterus": "IC5-9-D"}
FRAME_TIME_TAG = 0x00181063


@dataclass(frozen=True)
class Moment:
    """Which object of which study, and when: `begun` of the study, `at` of the object."""

    seed: int
    number: int
    begun: datetime
    at: datetime


def uid_of(*parts: object) -> str:
    """UID under 2.25 that depends on `parts` and nothing else."""
    name = "/".join(str(part) for part in parts)
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def identified(kind: ExamKind, patient: Patient, moment: Moment) -> Dataset:
    """Patient, study, series and equipment of one object; body part is absent for the lung, as on the scanner."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StudyDate = ds.SeriesDate = moment.begun.strftime("%Y%m%d")
    ds.StudyTime = ds.SeriesTime = moment.begun.strftime("%H%M%S")
    ds.ContentDate = ds.AcquisitionDate = moment.at.strftime("%Y%m%d")
    ds.ContentTime = ds.AcquisitionTime = moment.at.strftime("%H%M%S")
    ds.AccessionNumber, ds.StudyID = patient.accession, patient.study_id
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "US", "GE Healthcare", "LOGIQE9"
    ds.InstitutionName, ds.StationName, ds.SoftwareVersions = "Example Hospital", "LOGIQE9-1", "LOGIQE9:R6.1.2"
    ds.ReferringPhysicianName, ds.OperatorsName = "", "Nobody^Abc"
    ds.StudyDescription = DESCRIPTION[kind]
    if kind == "uterus":
        ds.BodyPartExamined = "UTERUS"
    else:
        ds.Laterality = ""
    ds.PatientName, ds.PatientID = patient.name, patient.id
    ds.PatientBirthDate, ds.PatientSex = patient.birth_date, patient.sex
    ds.StudyInstanceUID = uid_of("study", kind, moment.seed)
    ds.SeriesInstanceUID = uid_of("series", kind, moment.seed)
    ds.SOPInstanceUID = uid_of("instance", kind, moment.seed, moment.number)
    ds.SeriesNumber, ds.InstanceNumber, ds.PatientOrientation = 1, moment.number, None
    return ds


def add_regions(ds: Dataset, shown: Screen) -> None:
    """Add Sequence of Ultrasound Regions: one 2D tissue region in cm (PS3.3 C.8.5.5)."""
    item = Dataset()
    x0, y0, x1, y1 = shown.region
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x1, y1
    # The middle of the probe surface, relative to the region's corner.
    item.ReferencePixelX0 = round(shown.sector.apex[0]) - x0
    item.ReferencePixelY0 = round(shown.sector.apex[1] + shown.sector.r0) - y0
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.ReferencePixelPhysicalValueX = item.ReferencePixelPhysicalValueY = 0.0
    item.PhysicalDeltaX = item.PhysicalDeltaY = shown.sector.cm_per_px
    item.TransducerFrequency = 4000
    ds.SequenceOfUltrasoundRegions = [item]


def add_pixels(ds: Dataset, frames: Grey, *, compressed: bool) -> None:
    """Add the frames as a still (T = 1) or a clip, and the file meta information.

    Args:
        ds: with its SOP Instance UID.
        frames: uint8 (T, rows, columns) or (T, rows, columns, 3) RGB.
        compressed: whether a clip is JPEG Baseline YBR_FULL_422; stills never are.
    """
    clip = len(frames) > 1
    colour = frames.ndim == 4
    ds.SOPClassUID = US_MULTI_FRAME if clip else US_IMAGE
    ds.ImageType = ["DERIVED" if clip else "ORIGINAL", "PRIMARY", "", "0001"]
    ds.Rows, ds.Columns = frames.shape[1:3]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    if clip:
        _add_cine(ds, len(frames))
    if clip and compressed:
        _add_jpeg(ds, frames)
    else:
        ds.SamplesPerPixel, ds.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
        if colour:
            ds.PlanarConfiguration = 0
        raw = np.ascontiguousarray(frames).tobytes()
        ds.PixelData = raw + b"\0" * (len(raw) % 2)
        ds["PixelData"].VR = "OB"
    _add_meta(ds, JPEGBaseline8Bit if clip and compressed else ExplicitVRLittleEndian)


def _add_cine(ds: Dataset, count: int) -> None:
    ds.NumberOfFrames, ds.FrameIncrementPointer = count, FRAME_TIME_TAG
    ds.FrameTime, ds.CineRate, ds.RecommendedDisplayFrameRate = FRAME_TIME_MS, 30, 30
    ds.FrameDelay = 0


def _add_jpeg(ds: Dataset, frames: Grey) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_FULL_422", 0
    colour = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
    pictures = [
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(frame), quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="422"
        )
        for frame in colour
    ]
    ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
    ds.LossyImageCompressionRatio = round(colour.nbytes / sum(map(len, pictures)), 1)
    ds.PixelData = encapsulate(pictures)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True


def _add_meta(ds: Dataset, transfer_syntax: UID) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = UID(uid_of("implementation"))
    meta.ImplementationVersionName = "LOGIQE9_SIM"
    ds.file_meta = meta
