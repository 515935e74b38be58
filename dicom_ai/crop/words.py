"""The identity a header states, as strings that must not be found in pixels or in an exported file.

Pure; the strings live only as long as the object is looked at and are never written, logged or sent anywhere.
"""

from pydicom.dataset import Dataset


def identity_words(ds: Dataset) -> tuple[str, ...]:
    """Words a screen may show of this patient, study and site: name parts, IDs, dates in the usual forms, institution.

    Args:
        ds: the header as received.

    Returns:
        Distinct strings of at least two characters, longest first.
    """
    words = {part for group in str(ds.get("PatientName", "")).split("=") for part in group.split("^")}
    words |= {str(ds.get("PatientID", "")), str(ds.get("AccessionNumber", ""))}
    return tuple(sorted({word.strip() for word in words if len(word.strip()) > 1}, key=lambda w: (-len(w), w)))
