"""A complaint about a result, and the points under which complaints are made.

Points are numbered as they are listed in the conformance statement. A complaint quotes no value of the object, so
that it can be printed and logged. What this is not: the judgement (`judge`).
"""

from dataclasses import dataclass

POINTS: dict[int, str] = {
    4: "the warning first, every class answered, every container SEPARATE",
    5: "one patient and one study over sources and results, and references that lead somewhere",
    6: "a tree that viewers can read: root, library, concept names, tracking, one region on one frame",
    7: "regions closed, inside their frame and inside what the model saw",
    8: "probabilities in %, 0..100, each class once, in agreement with what is stated of them",
    9: "codes of the reviewed table only, in the document's language, private scheme identified",
    10: "UIDs valid, name-based and of the source's study; one Device UID for one model card",
    11: "verification flags, observers and predecessors that fit together",
    12: "captures as large, as long and as lossy as they say, on frames of their source",
}


@dataclass(frozen=True, order=True)
class Complaint:
    """One thing that is wrong.

    Attributes:
        point: number in `POINTS`.
        sentence: what is wrong, without any value of the object.
    """

    point: int
    sentence: str

    def line(self) -> str:
        """As a validator's line."""
        return f"Error - point {self.point} - {self.sentence}"
