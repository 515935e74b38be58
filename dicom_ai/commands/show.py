"""The command `show`: a Structured Report as a radiologist's text, or as one page to look at in a browser.

Who the patient is does not stand in it; the file's name says which report it is. What this is not: a viewer.
"""

import os
import sys
import warnings
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicom_ai.errors import SettingsError
from dicom_ai.report.page import lines, page
from dicom_ai.report.summary import summary_of

_REPORTS = "1.2.840.10008.5.1.4.1.1.88."


def show(path: Path, html: Path | None) -> int:
    """Print a report, or write it as a page; 0.

    Args:
        path: DICOM file of a report.
        html: where the page goes; a file that is there is replaced.

    Raises:
        SettingsError: there is no such file, it is no report, or the page cannot be written.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what others wrote against the rules is not this command's business
            report = dcmread(path)
            if not str(report.get("SOPClassUID") or "").startswith(_REPORTS) or "ContentSequence" not in report:
                raise SettingsError(f"{path} is no structured report")
            summary = summary_of(report)
    except (OSError, InvalidDicomError) as exc:
        raise SettingsError(f"{path} cannot be read as DICOM: {type(exc).__name__}") from None
    if html is None:
        sys.stdout.write("\n".join(lines(summary)) + "\n")
        return 0
    try:
        with html.open("w", encoding="utf-8") as file:
            file.write(page(summary))
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise SettingsError(f"{html} cannot be written: {exc.strerror}") from None
    return 0
