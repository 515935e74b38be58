"""The published list: every attribute an exported object may have, and what its value may be.

The builder writes nothing else and the proof accepts nothing else, so the list is what leaves the house;
`deploy/deidentification.md` shows it to people and a test holds the two together. No free text crosses: a text is the
same in every object, or a word of a closed list, or made from the site's secret. What is left are bounded numbers.
What this is not: the making of values (`build`, `pseudonym`).
"""

from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import dictionary_VR, tag_for_keyword

How = Literal["constant", "closed", "number", "keyed", "shifted", "empty", "device", "computed", "items"]


@dataclass(frozen=True)
class Attribute:
    """One attribute of the list.

    Attributes:
        keyword: of PS3.6.
        how: "constant": the same text in every object. "closed": one of `values`. "number": of the source, dropped
            outside `least`..`most`. "keyed": made from the site's secret and the source's value. "shifted": the
            source's date or time, moved back by the patient's shift. "empty": always without value. "device": as the
            layout catalogue has it, otherwise keyed. "computed": from the kept pixels. "items": a sequence of `items`.
        values: for constant and closed; the value field as text, values joined by a backslash.
        least, most: for number; bounds of each value.
        items: for items; what each item may hold.
    """

    keyword: str
    how: How
    values: tuple[str, ...] = ()
    least: float = 0.0
    most: float = 0.0
    items: "tuple[Attribute, ...]" = ()

    @property
    def tag(self) -> int:
        """Group and element as one number."""
        tag = tag_for_keyword(self.keyword)
        if tag is None:
            raise KeyError(self.keyword)
        return tag

    @property
    def vr(self) -> str:
        """Value representation of the dictionary; of Pixel Data that of 8 bits in little endian."""
        return "OB" if self.keyword == "PixelData" else dictionary_VR(self.tag)


METHOD = "dicom-ai export 1: scan area, listed attributes, keyed hashes"
CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113101", "Clean Pixel Data Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
)
"""CID 7050. Only what is done: no device serial number, institution, UID or patient characteristic is retained."""

IMPLEMENTATION = "2.25.326167837901663162392593326467151793015"
"""Implementation Class UID of exported objects: the same everywhere, so it tells nothing of the site."""

BODY_PARTS = (
    "ABDOMEN", "ADRENAL", "AORTA", "APPENDIX", "ARM", "AXILLA", "BACK", "BLADDER", "BRAIN", "BREAST", "CAROTID",
    "CERVIX", "CHEST", "COLON", "ELBOW", "EXTREMITY", "EYE", "FETUS", "FOOT", "FOREARM", "GALLBLADDER", "GROIN",
    "HAND", "HEAD", "HEART", "HIP", "INTESTINE", "JEJUNUM", "KIDNEY", "KNEE", "LEG", "LIVER", "LUNG", "MUSCLE",
    "NECK", "OVARY", "PANCREAS", "PELVIS", "PENIS", "PROSTATE", "SCROTUM", "SHOULDER", "SPLEEN", "STOMACH", "TESTIS",
    "THIGH", "THYROID", "UTERUS", "VAGINA", "WRIST",
)  # fmt: skip
"""Body Part Examined, from PS3.16 Annex L; another value is dropped."""

COMPRESSIONS = (
    "ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_15444_2", "ISO_15444_15", "ISO_13818_2", "ISO_14496_10",
    "ISO_23008_2",
)  # fmt: skip
"""Lossy Image Compression Method, PS3.3 C.7.6.1.1.5.1."""


def _constant(keyword: str, value: str) -> Attribute:
    return Attribute(keyword, "constant", (value,))


def _closed(keyword: str, *values: str) -> Attribute:
    return Attribute(keyword, "closed", values)


def _number(keyword: str, least: float, most: float) -> Attribute:
    return Attribute(keyword, "number", least=least, most=most)


REGION = (
    _number("RegionSpatialFormat", 1, 1),
    _number("RegionDataType", 1, 2),
    _number("RegionFlags", 0, 31),
    Attribute("RegionLocationMinX0", "computed"),
    Attribute("RegionLocationMinY0", "computed"),
    Attribute("RegionLocationMaxX1", "computed"),
    Attribute("RegionLocationMaxY1", "computed"),
    _number("ReferencePixelX0", -65535, 65535),
    _number("ReferencePixelY0", -65535, 65535),
    _number("PhysicalUnitsXDirection", 0, 12),
    _number("PhysicalUnitsYDirection", 0, 12),
    _number("ReferencePixelPhysicalValueX", -1000, 1000),
    _number("ReferencePixelPhysicalValueY", -1000, 1000),
    _number("PhysicalDeltaX", -100, 100),
    _number("PhysicalDeltaY", -100, 100),
    _number("TransducerFrequency", 0, 100_000),  # kHz
    _number("PulseRepetitionFrequency", 0, 100_000),  # Hz
    _number("DopplerCorrectionAngle", -90, 90),
    _number("SteeringAngle", -90, 90),
)
"""An item of Sequence of Ultrasound Regions (PS3.3 C.8.5.5)."""

_CODE = (
    _closed("CodeValue", *(value for value, _ in CODES)),
    _constant("CodingSchemeDesignator", "DCM"),
    _closed("CodeMeaning", *(meaning for _, meaning in CODES)),
)

META = (
    Attribute("FileMetaInformationGroupLength", "computed"),
    _constant("FileMetaInformationVersion", "\x00\x01"),
    Attribute("MediaStorageSOPClassUID", "computed"),
    Attribute("MediaStorageSOPInstanceUID", "keyed"),
    _constant("TransferSyntaxUID", "1.2.840.10008.1.2.1"),
    _constant("ImplementationClassUID", IMPLEMENTATION),
    _constant("ImplementationVersionName", "DICOM_AI"),
)
"""File Meta Information."""

MAIN = (
    _closed("ImageType", "DERIVED\\PRIMARY", "DERIVED\\SECONDARY"),
    Attribute("SOPClassUID", "computed"),
    Attribute("SOPInstanceUID", "keyed"),
    *(Attribute(f"{kind}Date", "shifted") for kind in ("Study", "Series", "Acquisition", "Content")),
    *(Attribute(f"{kind}Time", "shifted") for kind in ("Study", "Series", "Acquisition", "Content")),
    Attribute("AccessionNumber", "empty"),
    _constant("Modality", "US"),
    Attribute("Manufacturer", "device"),
    Attribute("ReferringPhysicianName", "empty"),
    Attribute("ManufacturerModelName", "device"),
    Attribute("PatientName", "keyed"),
    Attribute("PatientID", "keyed"),
    Attribute("PatientBirthDate", "empty"),
    Attribute("PatientSex", "empty"),
    _constant("PatientIdentityRemoved", "YES"),
    _constant("DeidentificationMethod", METHOD),
    Attribute("DeidentificationMethodCodeSequence", "items", items=_CODE),
    _closed("BodyPartExamined", *BODY_PARTS),
    _number("CineRate", 0, 2000),
    _number("FrameTime", 0, 60_000),  # ms
    _number("FrameTimeVector", 0, 60_000),
    _number("FrameDelay", -3_600_000, 3_600_000),
    _number("ActualFrameDuration", 0, 60_000),
    _number("EffectiveDuration", 0, 3_600),  # s
    _number("RecommendedDisplayFrameRate", 0, 2000),
    Attribute("SequenceOfUltrasoundRegions", "items", items=REGION),
    Attribute("StudyInstanceUID", "keyed"),
    Attribute("SeriesInstanceUID", "keyed"),
    Attribute("StudyID", "empty"),
    _number("SeriesNumber", 0, 99_999),
    _number("InstanceNumber", 0, 99_999),
    Attribute("PatientOrientation", "empty"),
    _closed("Laterality", "", "L", "R"),
    Attribute("SamplesPerPixel", "computed"),
    Attribute("PhotometricInterpretation", "computed"),
    Attribute("PlanarConfiguration", "computed"),
    Attribute("NumberOfFrames", "computed"),
    Attribute("FrameIncrementPointer", "computed"),
    Attribute("Rows", "computed"),
    Attribute("Columns", "computed"),
    _number("UltrasoundColorDataPresent", 0, 1),
    Attribute("BitsAllocated", "computed"),
    Attribute("BitsStored", "computed"),
    Attribute("HighBit", "computed"),
    Attribute("PixelRepresentation", "computed"),
    _constant("BurnedInAnnotation", "NO"),
    _constant("RecognizableVisualFeatures", "NO"),
    _closed("LossyImageCompression", "00", "01"),
    _number("LossyImageCompressionRatio", 0, 10_000),
    _closed("LossyImageCompressionMethod", *COMPRESSIONS),  # of each value
    _constant("LongitudinalTemporalInformationModified", "MODIFIED"),
    Attribute("PixelData", "computed"),
)
"""The data set itself."""

REPLACED = frozenset(one.keyword for one in (*META, *MAIN) if one.how in {"keyed", "shifted", "empty"})
"""Attributes whose value is not the source's: all that an independent confidentiality profile may still change."""

LISTED = {one.tag: one for one in (*META, *MAIN)}
