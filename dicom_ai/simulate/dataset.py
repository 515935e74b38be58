"""Turns a screen into a data set with the attributes its scanner writes, and nothing of what was drawn.

What this is not: an anonymiser or a converter; it only ever holds invented patients.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pydicom.valuerep import PersonName

from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME
from dicom_ai.simulate.device import Device
from dicom_ai.simulate.encoding import add_frames
from dicom_ai.simulate.geometry import Grey
from dicom_ai.simulate.patients import Patient, with_escapes
from dicom_ai.simulate.screen import Screen

ExamKind = Literal["lung", "uterus"]

NAMESPACE = uuid.UUID("6d0d3b5e-55c4-5a53-9a0d-7f0c5a7b1e09")
FRAME_TIME_MS = 33.33
DESCRIPTION = {"lung": "Lung ultrasound", "uterus": "Transvaginal ultrasound"}
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


def identified(kind: ExamKind, patient: Patient, moment: Moment, scanner: Device) -> Dataset:
    """Patient, study, series and equipment of one object; body part is absent for the lung, as on the scanner."""
    ds = Dataset()
    ds.SpecificCharacterSet = list(patient.terms) if len(patient.terms) > 1 else patient.terms[0]
    ds.StudyDate = ds.SeriesDate = moment.begun.strftime("%Y%m%d")
    ds.StudyTime = ds.SeriesTime = moment.begun.strftime("%H%M%S")
    ds.ContentDate = ds.AcquisitionDate = moment.at.strftime("%Y%m%d")
    ds.ContentTime = ds.AcquisitionTime = moment.at.strftime("%H%M%S")
    ds.AccessionNumber, ds.StudyID = patient.accession, patient.study_id
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "US", scanner.manufacturer, scanner.model
    ds.InstitutionName, ds.StationName, ds.SoftwareVersions = "Example Hospital", scanner.station, scanner.software
    ds.ReferringPhysicianName, ds.OperatorsName = "", "Nobody^Abc"
    ds.StudyDescription = " ".join(filter(None, (patient.describes(kind), DESCRIPTION[kind])))
    if kind == "uterus":
        ds.BodyPartExamined = "UTERUS"
    else:
        ds.Laterality = ""
    ds.PatientName, ds.PatientID = patient.name, patient.id
    if "ISO 2022 IR 58" in patient.terms:  # pydicom 3.0.2 writes this one without its escape sequences
        name = PersonName(with_escapes(patient.name), convert_encodings(list(patient.terms)))
        ds["PatientName"] = DataElement("PatientName", "PN", name)
    ds.PatientBirthDate, ds.PatientSex = patient.birth_date, patient.sex
    ds.StudyInstanceUID = uid_of("study", *_only(scanner), kind, moment.seed)
    if scanner.padded_study_uid and len(ds.StudyInstanceUID) % 2:
        padded = DataElement("StudyInstanceUID", "UI", ds.StudyInstanceUID + " ", already_converted=True)
        ds["StudyInstanceUID"] = padded
    ds.SeriesInstanceUID = uid_of("series", *_only(scanner), kind, moment.seed)
    ds.SOPInstanceUID = uid_of("instance", *_only(scanner), kind, moment.seed, moment.number)
    ds.SeriesNumber, ds.InstanceNumber, ds.PatientOrientation = 1, moment.number, None
    return ds


def _only(scanner: Device) -> tuple[str, ...]:
    """What tells the studies of two scanners apart; the first one's UIDs are as they always were."""
    return () if scanner.name == "logiq-e9" else (scanner.name,)


def add_regions(ds: Dataset, shown: Screen, scanner: Device) -> None:
    """Add Sequence of Ultrasound Regions: one 2D tissue region in cm (PS3.3 C.8.5.5)."""
    item = Dataset()
    x0, y0, x1, y1 = shown.region
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x1, y1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = shown.sector.cm_per_px
    if scanner.region_extras:
        # The middle of the probe surface, relative to the region's corner.
        item.ReferencePixelX0 = round(shown.sector.apex[0]) - x0
        item.ReferencePixelY0 = round(shown.sector.apex[1] + shown.sector.r0) - y0
        item.ReferencePixelPhysicalValueX = item.ReferencePixelPhysicalValueY = 0.0
        item.TransducerFrequency = 4000
    ds.SequenceOfUltrasoundRegions = [item]


def add_pixels(ds: Dataset, frames: Grey, scanner: Device, *, compressed: bool) -> None:
    """Add the frames as a still (T = 1) or a clip, and the file meta information.

    Args:
        ds: with its SOP Instance UID.
        frames: uint8 (T, rows, columns) or (T, rows, columns, 3) RGB.
        scanner: how it encodes.
        compressed: whether a clip is encoded at all; else it is uncompressed.
    """
    clip = len(frames) > 1
    ds.SOPClassUID = US_MULTI_FRAME if clip else US_IMAGE
    ds.ImageType = ["DERIVED" if clip else scanner.image_type[0], *scanner.image_type[1:]]
    if clip:
        _add_cine(ds, len(frames))
        syntax = add_frames(ds, frames, scanner.clip_encoding if compressed else "raw")
    else:
        syntax = add_frames(ds, frames, scanner.encoding)
    if scanner.burned_in:
        ds.BurnedInAnnotation = scanner.burned_in
    if scanner.private:
        _add_private(ds, frames[0], scanner)
    _add_meta(ds, syntax, scanner)


def _add_private(ds: Dataset, frame: Grey, scanner: Device) -> None:
    """What a maker keeps beside Pixel Data: the whole screen again, text and all."""
    grey = frame if frame.ndim == 2 else frame[..., 0]
    if scanner.private == "full-screen":
        movie = ds.private_block(0x7FE1, "GEMS_Ultrasound_MovieGroup_001", create=True)
        movie.add_new(0x01, "LO", ds.AcquisitionDate + ds.AcquisitionTime)
        movie.add_new(0x02, "OB", _even(grey))
        return
    preview = ds.private_block(0x200D, "Philips US Imaging DD 033", create=True)
    preview.add_new(0x0B, "OB", _even(grey[::2, ::2]))
    preview.add_new(0x0C, "LO", str(ds.PatientID))


def _even(pixels: Grey) -> bytes:
    raw = pixels.tobytes()
    return raw + b"\0" * (len(raw) % 2)


def _add_cine(ds: Dataset, count: int) -> None:
    ds.NumberOfFrames, ds.FrameIncrementPointer = count, FRAME_TIME_TAG
    ds.FrameTime, ds.CineRate, ds.RecommendedDisplayFrameRate = FRAME_TIME_MS, 30, 30
    ds.FrameDelay = 0


def _add_meta(ds: Dataset, transfer_syntax: UID, scanner: Device) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = UID(uid_of("implementation"))
    meta.ImplementationVersionName = scanner.implementation
    ds.file_meta = meta
