"""What arrives from an archive: judged, made durable under its digest, written into the plan; or refused and listed.

An object lies in the folder before the plan says so, and a folder with a plan holds nothing else: what an earlier run
left half done is removed when the next one begins. What this is not: the asking.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from dicom_ai.archive.filters import Filters
from dicom_ai.archive.judged import Meant, refusal
from dicom_ai.archive.plan import Plan
from dicom_ai.errors import InputError
from dicom_ai.store.files import ObjectStore, part10_digest

NOT_FINAL = ("truncated", "unreadable")
"""What may be a fault of the way; the object is asked for again by the next run."""


class Intake:
    """Takes objects of one study at a time; threads may share it."""

    def __init__(
        self, plan: Plan, files: ObjectStore, filters: Filters, took: Callable[[int], None] = lambda _size: None
    ) -> None:
        """Clear away what the plan does not know, and want again what is gone.

        Args:
            plan: of the folder.
            files: of the folder.
            filters: what is wanted.
            took: told the size of every object that arrived, bytes; may keep the archive waiting.

        Raises:
            ResourceError: the folder cannot be changed.
        """
        self.plan, self.files = plan, files
        self._filters, self._took, self._lock = filters, took, threading.Lock()
        self._meant: Meant | None = None
        self.judged: set[str] = set()
        files.sweep_spool()
        plan.want_again(digest for digest in plan.digests() if not files.path(digest).is_file())
        known = plan.digests()
        for path in files.path("0" * 64).parent.parent.glob("*/*.dcm"):
            if path.stem not in known:  # it came, and the plan was never told
                path.unlink()

    def expect(self, study: str) -> None:
        """From now on objects of this study may come; "" for none."""
        with self._lock:
            self.judged = set()
            self._meant = None
            if study:
                self._meant = Meant(
                    study, lambda patient: self.plan.is_of(study, patient), self.plan.images(study), self._filters
                )

    def content(self, content: bytes, said: str) -> bool:
        """Take a Part 10 file that came in a message about the object `said`; whether it is in the set now.

        Raises:
            ResourceError: the folder is full or cannot be written.
        """
        path = self.files.new_spool()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        try:
            digest = part10_digest(content)
        except InputError:
            digest = ""
        return self.file(path, digest, said)

    def file(self, path: Path, digest: str, said: str) -> bool:
        """The same of a file in the spool, which is gone afterwards; "" for the digest of what is no Part 10 file."""
        try:
            size = path.stat().st_size
            with self._lock:
                is_in = self._judge(path, digest, said)
        finally:
            path.unlink(missing_ok=True)
        self._took(size)
        return is_in

    def _judge(self, path: Path, digest: str, said: str) -> bool:
        if self._meant is None:
            self.plan.refuse("", said, "not_asked")
            return False
        uid, word = refusal(path, self._meant, said) if digest else (said, "unreadable")
        if not word:
            word = "" if self.plan.digest(uid) in ("", digest) else "conflict"
        self.judged.add(uid or said)
        if not word:
            if not self.plan.digest(uid):
                self.files.keep([(path, digest)])
                self.plan.have(uid, digest, self.files.path(digest).stat().st_size)
            return True
        if word != "not_wanted":
            self.plan.refuse(self._meant.study, uid or said, word)
        self.plan.leave(uid or said, word, is_final=word not in NOT_FINAL)
        return False
