"""The checklist applied: which of a set of objects are ours, and what is to be said against each.

What this is not: a validator of other people's objects; those are only compared with.
"""

from collections.abc import Callable, Iterator, Sequence

from pydicom.dataset import Dataset

from dicom_ai.instance import OUR_MANUFACTURER, ULTRASOUND_CLASSES
from dicom_ai.report.checklist import captures, codes, flags, identifiers, numbers, paged, places, together, tree
from dicom_ai.report.checklist.complaint import Complaint
from dicom_ai.report.structured import DOCUMENTS

_BROKEN = "an object is so broken that this point cannot be judged"


def is_ours(ds: Dataset) -> bool:
    """Whether the checklist has anything to say about an object."""
    return bool(ds.get("Manufacturer") == OUR_MANUFACTURER)


def complaints(ds: Dataset, among: Sequence[Dataset] = ()) -> list[Complaint]:
    """What is wrong with one of our results.

    Args:
        ds: header of the result (no pixels needed), with its File Meta Information.
        among: headers of the set it belongs to: sources, captures, predecessors; what is absent is not judged.

    Returns:
        Each complaint once, by point.
    """
    others = {str(other.get("SOPInstanceUID")): other for other in among if other is not ds}
    looks: list[tuple[int, Callable[[], Iterator[Complaint]]]] = [
        (9, lambda: codes.reviewed(ds)),
        (10, lambda: identifiers.identified(ds)),
    ]
    if ds.get("SOPClassUID") in DOCUMENTS:
        looks += [
            (4, lambda: tree.readable(ds)),
            (6, lambda: tree.viewable(ds, others)),
            (7, lambda: places.placed(ds, others)),
            (8, lambda: numbers.counted(ds)),
            (11, lambda: flags.flagged(ds, others)),
        ]
    if paged.is_page(ds):
        looks.append((12, lambda: paged.page(ds, others)))
    elif ds.get("SOPClassUID") in captures.CAPTURES:
        looks.append((12, lambda: captures.captured(ds, others)))
    found: set[Complaint] = set()
    for point, look in looks:
        try:
            found.update(look())
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            # A judge that falls over a broken object has found it broken.
            found.add(Complaint(point, _BROKEN))
    return sorted(found)


def set_complaints(objects: Sequence[Dataset]) -> list[Complaint]:
    """What is wrong between objects: UIDs, studies, device identities, documents and the images they list.

    Args:
        objects: headers of everything there is of one study.
    """
    ours = [ds for ds in objects if is_ours(ds)]
    sources = [ds for ds in objects if ds.get("SOPClassUID") in ULTRASOUND_CLASSES and not is_ours(ds)]
    return sorted({*identifiers.together(ours, sources), *together.belonging(ours, sources)})
