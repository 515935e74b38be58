"""PixelMed's DicomSRValidator: whether a report keeps to its template (PS3.16), which dciodvfy does not look at.

Debian's build of 2022. It takes one file a call and some seconds for it, most of them for compiling its rules. What
this is not: a validator of headers or of anything but reports.
"""

import re
import shutil
from pathlib import Path

JAR = Path("/usr/share/java/pixelmed.jar")
PACKAGE = "libpixelmed-java default-jre-headless"

# Without the limits Java 17 refuses the rules (JAXP0801003); without the last two they take twice as long.
_JAVA = (
    "-Xmx4g",  # a report of ten groups takes between one and two; less is taken where less is needed
    "-Djdk.xml.xpathExprGrpLimit=0",
    "-Djdk.xml.xpathExprOpLimit=0",
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
)
LIMIT_S = 240.0
"""Longest time for one report; a report of ten groups took 15 s of processor time."""

_DONE, _TEMPLATE = "IOD validation complete", "Root Template Validation Complete"
_PLACED = re.compile(r"^(?P<rule>.*?): (?P<at>\d+(\.\d+)*): /")
_SAID = re.compile(
    r"not found in context group \w+"
    r"|Incorrect relationship - expected [A-Z ]+ - found [A-Z ]+"
    r"|different code meaning"
    r"|Content Item not in template"
)


def is_installed() -> bool:
    """Whether Java and PixelMed's classes are there."""
    return JAR.exists() and shutil.which("java") is not None


def command(path: Path) -> list[str]:
    """What to run for one report."""
    return ["java", *_JAVA, "-cp", str(JAR), "com.pixelmed.validate.DicomSRValidator", str(path)]


def complaints(output: str) -> list[str]:
    """The lines that say Error or Warning; one of ours where it did not come to an end or knew no template.

    Args:
        output: what it wrote; its exit status is 0 whatever happened.
    """
    lines = output.split("\n")
    found = [line for line in lines if line.startswith(("Error", "Warning"))]
    if _DONE not in lines:
        found.append("Error - pixelmed did not come to an end")
    elif _TEMPLATE not in lines:
        found.append("Warning - pixelmed knows no template for this report")
    return found


def without_values(line: str) -> str:
    """A line without the codes and meanings it quotes from the object: rule, position in the tree, what is wrong.

    Examples:
        >>> without_values('Error: Row 4: 1.8: /CONTAINER (1,DCM,"A"): Code (2,LN,"B") not found in context group 100')
        'Error: Row 4: 1.8: not found in context group 100'
    """
    placed = _PLACED.match(line)
    if placed is None:
        return line if line.startswith(("Error - pixelmed", "Warning - pixelmed")) else line.split(":", maxsplit=1)[0]
    said = _SAID.search(line, placed.end())
    return f"{placed['rule']}: {placed['at']}: {said[0] if said else '...'}"
