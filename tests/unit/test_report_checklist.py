"""The list of points: sound results pass, and each defect that no validator sees is found under its point."""

import copy
import inspect
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from dicom_ai.finding import State
from dicom_ai.report import code
from dicom_ai.report.checklist import captures, codes, flags, identifiers, items, numbers, places, together, tree
from dicom_ai.report.checklist.complaint import POINTS, Complaint
from dicom_ai.report.checklist.judge import _BROKEN, complaints, is_ours, set_complaints
from dicom_ai.report.header import code_item
from dicom_ai.report.structured import SR_CLASSES
from tests.results_set import ResultSet, result_set


@lru_cache(maxsize=8)
def _built(kind: str, frames: int, language: str) -> ResultSet:
    return result_set(kind, frames, language=language)


def fresh(kind: str = "lung", frames: int = 1, language: str = "en") -> ResultSet:
    return copy.deepcopy(_built(kind, frames, language))


def said(made: ResultSet) -> list[Complaint]:
    """Everything the list says of a set."""
    of_each = [c for ds in made.all if is_ours(ds) for c in complaints(ds, made.all)]
    return sorted({*of_each, *set_complaints(made.all)})


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("kind", ["lung", "uterus"])
def test_sound_results_pass(kind, frames, language):
    assert said(fresh(kind, frames, language)) == []


@pytest.mark.parametrize("sop_class", SR_CLASSES)
def test_sound_results_pass_in_each_class(sop_class):
    assert said(result_set(sop_class=sop_class)) == []


def group(made: ResultSet, number: int) -> Dataset:
    return items.groups(made.report)[number]


def child(item: Dataset, name: str) -> Dataset:
    return items.named(item, name)[0]


def remove(item: Dataset, name: str) -> None:
    item.ContentSequence = [one for one in items.children(item) if items.name(one) != name]


def percent(item: Dataset, text: str) -> None:
    item.MeasuredValueSequence[0].NumericValue = text
    if "FloatingPointValue" in item.MeasuredValueSequence[0]:
        item.MeasuredValueSequence[0].FloatingPointValue = float(text)


def swap_two_probabilities(made: ResultSet) -> None:
    loud = group(made, 1)
    a, b = child(loud, "P-ALINE"), child(loud, "P-BLINE")
    a.MeasuredValueSequence, b.MeasuredValueSequence = b.MeasuredValueSequence, a.MeasuredValueSequence


def shift_by_the_crop_offset(made: ResultSet, number: int) -> None:
    region = child(group(made, number), "111030")
    region.GraphicData = [v - (100, 60)[n % 2] for n, v in enumerate(region.GraphicData)]


def answer(made: ResultSet, value: str) -> Dataset:
    return child(child(made.report, "C0034375"), value)


def state(made: ResultSet, value: str, term: code.Term) -> None:
    answer(made, value).ConceptCodeSequence = [code_item(term)]


def other_frame(made: ResultSet, item: Dataset) -> None:
    (reference,) = item.ReferencedSOPSequence
    reference.ReferencedFrameNumber = 3 - (int(reference.ReferencedFrameNumber) - 1)


def region_frame(made: ResultSet) -> None:
    other_frame(made, items.children(child(group(made, 2), "111030"))[0])


def capture_frame(made: ResultSet) -> None:
    other_frame(made, child(group(made, 2), "121200"))


def region_image(made: ResultSet) -> None:
    (image,) = items.children(child(group(made, 1), "111030"))
    image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = made.sources[0].SOPInstanceUID


def drop_frame_and_name_two(made: ResultSet) -> None:
    (image,) = items.children(child(group(made, 2), "111030"))
    image.ReferencedSOPSequence[0].ReferencedFrameNumber = [1, 4]


def second_library_group(made: ResultSet) -> None:
    library = child(made.report, "111028")
    first = library.ContentSequence[0]
    second = copy.deepcopy(first)
    first.ContentSequence, second.ContentSequence = first.ContentSequence[:1], first.ContentSequence[1:]
    library.ContentSequence.append(second)


def unknown_code(made: ResultSet) -> None:
    child(group(made, 1), "121071").ConceptCodeSequence[0].CodeValue = "RID10311"


def other_meaning(made: ResultSet) -> None:
    child(group(made, 1), "121071").ConceptCodeSequence[0].CodeMeaning = "A-lines on lung ultrasound"


def other_finding(made: ResultSet) -> None:
    for one in items.groups(made.report)[1:]:
        child(one, "121071").ConceptCodeSequence = [code_item(code.PLEURAL_EFFUSION)]


def long_code(made: ResultSet) -> None:
    child(group(made, 1), "121071").ConceptCodeSequence[0].CodeValue = "BLINES-ON-LUNG-US"


def predecessor(made: ResultSet, **changes: str) -> None:
    before = copy.deepcopy(made.report)
    before.SOPInstanceUID = before.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    before.SeriesInstanceUID = "2.25.78"
    made.captures.append(before)
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = before.SOPClassUID, before.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = changes.get("series", "2.25.78"), [instance]
    study.StudyInstanceUID = changes.get("study", before.StudyInstanceUID)
    study.ReferencedSeriesSequence = [series]
    made.report.PredecessorDocumentsSequence = [study]


def observer(made: ResultSet) -> None:
    who = Dataset()
    who.VerifyingObserverName, who.VerificationDateTime, who.VerifyingOrganization = "A^B", "20260102", "C"
    made.report.VerifyingObserverSequence = [who]


def item(made: ResultSet, keyword: str, value: object = None, on: str = "captures") -> None:
    ds = made.report if on == "report" else getattr(made, on)[0]
    if value is None:
        del ds[keyword]
    else:
        setattr(ds, keyword, value)


def capture_item(keyword: str, value: object = None) -> Callable[[ResultSet], None]:
    return lambda made: item(made, keyword, value)


def report_item(keyword: str, value: object = None) -> Callable[[ResultSet], None]:
    return lambda made: item(made, keyword, value, on="report")


def nothing_assessed_yet_complete(made: ResultSet) -> None:
    child(
        child(made.report, "C0034375"), "121106"
    ).TextValue += " NO IMAGE COULD BE ASSESSED. This is not a negative result."


def reorder(made: ResultSet) -> None:
    made.report.ContentSequence = sorted(items.children(made.report), key=lambda one: items.name(one) == "C0034375")


def warning_last(made: ResultSet) -> None:
    box = child(made.report, "C0034375")
    box.ContentSequence = [*box.ContentSequence[1:], box.ContentSequence[0]]


def two_device_uids(made: ResultSet) -> None:
    made.report.AuthorObserverSequence[0].DeviceUID = "2.25.4711"


def device_uid_stays_as_the_card_changes(made: ResultSet) -> None:
    """A second report of another card under the same Device UID."""
    second = copy.deepcopy(made.report)
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = "2.25.99"
    for one in items.groups(second):
        for parameter in items.named(one, "111002"):
            if parameter.TextValue.startswith("card="):
                parameter.TextValue = "card=" + "12" * 8
    made.captures.append(second)


DEFECTS: dict[str, tuple[int, int, Callable[[ResultSet], object]]] = {
    # name: (frames of the sources, point, the defect)
    "continuous container": (1, 4, lambda m: setattr(group(m, 0), "ContinuityOfContent", "CONTINUOUS")),
    "continuous root": (1, 4, report_item("ContinuityOfContent", "CONTINUOUS")),
    "no answers": (1, 4, lambda m: remove(m.report, "C0034375")),
    "answers last": (1, 4, reorder),
    "warning last": (1, 4, warning_last),
    "class without state": (1, 4, lambda m: state(m, "BLINE", code.SOURCE)),
    "reference to nothing": (1, 5, lambda m: m.sources.pop()),
    "capture not sent": (1, 5, lambda m: m.captures.pop()),
    "report of another patient": (1, 5, report_item("PatientName", "Other^Patient")),
    "another accession number": (1, 5, report_item("AccessionNumber", "ACC-8")),
    "root title": (1, 6, lambda m: setattr(m.report, "ConceptNameCodeSequence", [code_item(code.IMAGE_LIBRARY)])),
    "no library": (1, 6, lambda m: remove(m.report, "111028")),
    "second library group": (1, 6, second_library_group),
    "no concept name": (1, 6, lambda m: delattr(child(group(m, 1), "121071"), "ConceptNameCodeSequence")),
    "no tracking UID": (1, 6, lambda m: remove(group(m, 0), "112040")),
    "no tracking identifier": (1, 6, lambda m: remove(group(m, 0), "112039")),
    "shared tracking UID": (
        1, 6, lambda m: setattr(child(group(m, 0), "112040"), "UID", child(group(m, 1), "112040").UID),
    ),
    "no region": (1, 6, lambda m: remove(group(m, 0), "111030")),
    "two frames": (4, 6, drop_frame_and_name_two),
    "region off by the crop offset": (1, 7, lambda m: shift_by_the_crop_offset(m, 2)),
    "rectangle off by the crop offset": (1, 7, lambda m: shift_by_the_crop_offset(m, 0)),
    "region outside its frame": (1, 7, lambda m: child(group(m, 0), "111030").GraphicData.__setitem__(2, 641.0)),
    "open polygon": (
        1, 7, lambda m: setattr(child(group(m, 0), "111030"), "GraphicData", [1.0, 1.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0]),
    ),
    "region on another frame": (4, 7, region_frame),
    "capture of another frame": (4, 7, capture_frame),
    "region on another image": (1, 7, region_image),
    "probabilities swapped": (1, 8, swap_two_probabilities),
    "certainty of another class": (1, 8, lambda m: percent(child(group(m, 2), "111012"), "2.00")),
    "number above 100": (1, 8, lambda m: percent(child(group(m, 1), "P-BLINE"), "931.20")),
    "fraction in place of percent": (1, 8, lambda m: percent(child(group(m, 1), "P-BLINE"), "0.9312")),
    "unit one": (
        1, 8,
        lambda m: setattr(
            child(group(m, 1), "P-BLINE").MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0], "CodeValue", "1"
        ),
    ),
    "class missing": (1, 8, lambda m: remove(group(m, 1), "P-ALINE")),
    "class twice": (
        1, 8, lambda m: group(m, 1).ContentSequence.append(copy.deepcopy(child(group(m, 1), "P-ALINE"))),
    ),
    "number coded as another class": (
        1, 8,
        lambda m: setattr(
            child(child(group(m, 1), "P-BLINE"), "121071"), "ConceptCodeSequence", [code_item(code.A_LINES)]
        ),
    ),
    "another finding": (1, 8, other_finding),
    "answer against its numbers": (
        1, 8, lambda m: state(m, "ALINE", code.STATES[State.PRESENT]),
    ),
    "unknown code": (1, 9, unknown_code),
    "code under another meaning": (1, 9, other_meaning),
    "17 characters": (1, 9, long_code),
    "scheme not identified": (1, 9, report_item("CodingSchemeIdentificationSequence")),
    "other language": (
        1, 9, lambda m: setattr(child(group(m, 1), "P-BLINE").ConceptNameCodeSequence[0], "CodeMeaning", "B线概率"),
    ),
    "UID of a generator": (1, 10, report_item("SOPInstanceUID", "1.2.3.4.5")),
    "malformed UID": (1, 10, lambda m: setattr(child(group(m, 0), "112040"), "UID", "2.25.007")),
    "other study": (1, 10, report_item("StudyInstanceUID", "2.25.4")),
    "two Device UIDs": (1, 10, two_device_uids),
    "Device UID stays as the card changes": (1, 10, device_uid_stays_as_the_card_changes),
    "unverified with observer": (1, 11, observer),
    "verified without observer": (1, 11, report_item("VerificationFlag", "VERIFIED")),
    "not preliminary": (1, 11, report_item("PreliminaryFlag", "FINAL")),
    "series without warning": (1, 11, report_item("SeriesDescription", "Lung report")),
    "no qualification": (1, 11, report_item("ContentQualification", "PRODUCT")),
    "complete without assessment": (1, 11, nothing_assessed_yet_complete),
    "predecessor of another study": (1, 11, lambda m: predecessor(m, study="2.25.5")),
    "predecessor in another series": (1, 11, lambda m: predecessor(m, series="2.25.6")),
    "burned in": (1, 12, capture_item("BurnedInAnnotation", "YES")),
    "no body part": (1, 12, capture_item("BodyPartExamined")),
    "patient orientation": (1, 12, capture_item("PatientOrientation")),
    "other size": (1, 12, capture_item("Rows", 479)),
    "other patient": (1, 12, capture_item("PatientID", "PID-2")),
    "monitor profile": (1, 12, capture_item("ICCProfile", b"\0" * 12 + b"mntr" + b"\0" * 112)),
    "calibration": (1, 12, capture_item("FrameOfReferenceUID", "2.25.9")),
    "frames": (4, 12, capture_item("NumberOfFrames", 3)),
    "speed": (4, 12, capture_item("FrameTime", "66.6")),
    "loss denied": (4, 12, capture_item("LossyImageCompression", "00")),
    "ratio missing": (4, 12, capture_item("LossyImageCompressionRatio")),
    "acquisition modality": (1, 12, capture_item("Modality", "US")),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")  # the defect itself
@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_found_under_its_point(name):
    frames, point, defect = DEFECTS[name]
    made = fresh("lung", frames)
    defect(made)
    found = said(made)
    assert point in {complaint.point for complaint in found if complaint.sentence != _BROKEN}, found


def test_every_point_has_defects():
    assert {point for _, point, _ in DEFECTS.values()} == set(POINTS)


def test_the_loss_of_a_source_is_asked_for():
    values = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "9.5"}
    made = result_set(**values, LossyImageCompressionMethod="ISO_10918_1")
    assert said(made) == []
    made.captures[0].LossyImageCompression = "00"
    assert {c.point for c in said(made)} == {12}


def test_softmax_probabilities_must_sum_to_100():
    made = fresh("uterus")
    percent(child(group(made, 0), "P-NORMAL"), "17.00")
    assert {c.point for c in said(made)} == {8}


def test_a_set_without_its_sources_is_judged_as_far_as_it_goes():
    made = fresh()
    made.sources.clear()
    assert said(made) == []


def test_a_listed_image_that_is_not_there_is_missed():
    made = fresh()
    made.sources.pop()
    assert [c.point for c in set_complaints(made.all)] == [5]


@pytest.mark.parametrize(
    "keyword", ["ContentSequence", "ConceptNameCodeSequence", "SOPInstanceUID", "SeriesInstanceUID"]
)
def test_a_broken_report_is_complained_about_and_never_an_exception(keyword):
    made = fresh()
    del made.report[keyword]
    assert said(made)


def test_an_item_that_cannot_be_judged_is_a_complaint():
    made = fresh()
    (image,) = items.children(child(group(made, 0), "111030"))
    image.ReferencedSOPSequence[0].ReferencedFrameNumber = 2
    del child(child(made.report, "111028"), "126200").ContentSequence[0].ReferencedSOPSequence
    assert {6, 7} <= {c.point for c in said(made)}


def test_objects_of_others_are_not_judged():
    foreign = Dataset()
    foreign.Manufacturer, foreign.SOPClassUID = "GE", EncapsulatedPDFStorage
    assert not is_ours(foreign)
    assert set_complaints([foreign]) == []


def test_no_complaint_quotes_the_object():
    secret = "Secret"
    made = fresh()
    for ds in (made.report, *made.captures):
        ds.PatientName, ds.PatientID, ds.SeriesDescription = f"{secret}^Ann", secret, secret
    child(group(made, 0), "112039").TextValue = secret
    child(group(made, 1), "121071").ConceptCodeSequence[0].CodeMeaning = secret
    found = said(made)
    assert found
    assert secret not in "".join(complaint.line() for complaint in found)


@pytest.mark.parametrize("module", [tree, places, numbers, codes, identifiers, flags, captures, together])
def test_every_module_names_points_of_the_list(module: ModuleType):
    source = inspect.getsource(module)
    assert any(f"Complaint({point}," in source for point in POINTS)
