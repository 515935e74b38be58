"""What is to be pulled from an archive, and how far it got: a small SQLite file in the folder of the objects.

Every change is on disk before the next step (synchronous FULL), and one run alone holds the file; whatever ends a run,
the next one goes on from here. Patients stand in it under a key of this file. What this is not: the objects.
"""

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_ai.archive.contents import Series
from dicom_ai.archive.pages import Listed

NAME, VERSION = "pull.sqlite", "1"

_TABLES = """
CREATE TABLE told (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE studies (
    uid TEXT PRIMARY KEY, patient TEXT NOT NULL, state TEXT NOT NULL, beside INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE objects (
    uid TEXT PRIMARY KEY, study TEXT NOT NULL REFERENCES studies, series TEXT NOT NULL, sop_class TEXT NOT NULL,
    is_all INTEGER NOT NULL, state TEXT NOT NULL, digest TEXT UNIQUE, size INTEGER, word TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX of_study ON objects (study, state);
CREATE TABLE refused (
    study TEXT NOT NULL, uid TEXT NOT NULL, word TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (study, uid, word)
) STRICT;
"""
# state of a study: listed (nothing is known of its objects), open, done, refused; of an object: wanted, have, left,
# refused. `left` is no fault of anybody's: it is of another kind than was wanted.


@dataclass(frozen=True)
class Refusal:
    """Something that did not come into the set, by UIDs ("" where there is none), and how often it was tried."""

    study: str
    uid: str
    word: str
    count: int


class Plan:
    """The file. Threads may share it."""

    def __init__(self, folder: Path, question: dict[str, Any]) -> None:
        """Open the plan of this folder, or begin one.

        Args:
            folder: made, for its owner alone, when it is not there.
            question: what is asked and whom, as JSON; a folder holds the answer to one question.

        Raises:
            ValueError: another run holds it, it is no plan, or the folder answers another question.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file, self._lock = folder / NAME, threading.RLock()
        if not file.exists():
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        self._db = sqlite3.connect(file, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            self._open(hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest())
        except sqlite3.Error as exc:
            self._db.close()
            why = "another run is writing" if isinstance(exc, sqlite3.OperationalError) else "no plan of ours is in"
            raise ValueError(f"{why} {folder}") from exc
        except ValueError:
            self._db.close()
            raise

    def _open(self, question: str) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN EXCLUSIVE")
        if not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)
            told = {"question": question, "key": secrets.token_hex(32), "is_listed": "", "version": VERSION}
            self._db.executemany("INSERT INTO told VALUES (?, ?)", told.items())
        self._db.execute("COMMIT")
        if self._told("version") != VERSION:
            raise ValueError("this folder was begun by another version of dicom-ai; begin with another one")
        if self._told("question") != question:
            raise ValueError(
                "this folder holds the answer to another question; ask the same again, or name another one"
            )
        self._key = bytes.fromhex(self._told("key"))

    def close(self) -> None:
        """Let another run have it."""
        self._db.close()

    @property
    def is_listed(self) -> bool:
        """Whether the archive said which studies there are."""
        return bool(self._told("is_listed"))

    def list_studies(self, studies: Iterable[Listed], refused: Sequence[tuple[str, str]]) -> None:
        """Write down the studies that an archive listed, all at once."""
        with self._transaction():
            for one in studies:
                word = "" if one.is_one and one.patient else "mixed_patient" if one.patient else "no_patient"
                state = "refused" if word else "listed"
                self._db.execute(
                    "INSERT INTO studies (uid, patient, state) VALUES (?, ?, ?)",
                    (one.study, self.keyed(one.patient), state),
                )
                if word:
                    self.refuse(one.study, one.study, word)
            for study, word in refused:
                self.refuse(study, "", word)
            self._db.execute("UPDATE told SET value = 'yes' WHERE name = 'is_listed'")

    def todo(self, most_tries: int = 1 << 30) -> list[str]:
        """Studies that are not done and were begun fewer times than that; the least tried first.

        Then in the order of their UIDs' digests: no archive is asked device by device.
        """
        query = "SELECT tries, uid FROM studies WHERE state IN ('listed', 'open') AND tries < ?"
        rows = self._db.execute(query, (most_tries,)).fetchall()
        return [uid for _, _, uid in sorted((n, hashlib.sha256(uid.encode()).hexdigest(), uid) for n, uid in rows)]

    def tried(self, study: str) -> None:
        """A study is begun."""
        with self._transaction():
            self._db.execute("UPDATE studies SET tries = tries + 1 WHERE uid = ?", (study,))

    def forget_tries(self) -> None:
        """Every study may be begun anew."""
        with self._transaction():
            self._db.execute("UPDATE studies SET tries = 0")

    def state(self, study: str) -> str:
        """Of a study; "" where it is unknown."""
        row = self._db.execute("SELECT state FROM studies WHERE uid = ?", (study,)).fetchone()
        return str(row[0]) if row else ""

    def open(self, study: str, series: Iterable[Series], beside: int, refused: Sequence[tuple[str, str]]) -> None:
        """Write down what a study holds."""
        with self._transaction():
            for one in series:
                for uid, sop_class in one.images.items():
                    known = self._db.execute("SELECT study FROM objects WHERE uid = ?", (uid,)).fetchone()
                    if known:  # one UID, two places: nobody knows which is meant
                        self.refuse(study, uid, "repeated")
                    else:
                        row = (uid, study, one.uid, sop_class, one.is_all, "wanted")
                        self._db.execute(
                            "INSERT INTO objects (uid, study, series, sop_class, is_all, state) VALUES (?,?,?,?,?,?)",
                            row,
                        )
            for uid, word in refused:
                self.refuse(study, uid, word)
            self._db.execute("UPDATE studies SET state = 'open', beside = ? WHERE uid = ?", (beside, study))

    def wanted(self, study: str) -> list[Series]:
        """What is still wanted of a study; `is_all` where it is a whole series as listed."""
        rows = self._db.execute(
            "SELECT series, uid, sop_class, is_all, state FROM objects WHERE study = ? ORDER BY series, uid", (study,)
        ).fetchall()
        found = []
        for series in dict.fromkeys(row[0] for row in rows):
            all_of = [row for row in rows if row[0] == series]
            images = {row[1]: row[2] for row in all_of if row[4] == "wanted"}
            if images:
                found.append(Series(study, series, images, len(images) == len(all_of) and bool(all_of[0][3])))
        return found

    def images(self, study: str) -> dict[str, tuple[str, str]]:
        """SOP Instance UID -> (Series Instance UID, SOP Class UID or "") of everything that is wanted or was."""
        rows = self._db.execute("SELECT uid, series, sop_class FROM objects WHERE study = ?", (study,)).fetchall()
        return {uid: (series, sop_class) for uid, series, sop_class in rows}

    def is_of(self, study: str, patient: str) -> bool:
        """Whether the archive listed this study for this patient."""
        row = self._db.execute("SELECT patient FROM studies WHERE uid = ?", (study,)).fetchone()
        return row is not None and hmac.compare_digest(str(row[0]), self.keyed(patient))

    def digest(self, uid: str) -> str:
        """Of an object that is in the set; "" where it is not."""
        row = self._db.execute("SELECT digest FROM objects WHERE uid = ? AND state = 'have'", (uid,)).fetchone()
        return str(row[0]) if row else ""

    def digests(self) -> frozenset[str]:
        """Of everything in the set."""
        rows = self._db.execute("SELECT digest FROM objects WHERE state = 'have'").fetchall()
        return frozenset(digest for (digest,) in rows)

    def have(self, uid: str, digest: str, size: int) -> None:
        """An object lies durable in the folder."""
        with self._transaction():
            self._db.execute(
                "UPDATE objects SET state = 'have', digest = ?, size = ?, word = '' WHERE uid = ?", (digest, size, uid)
            )
            # what came whole at last is no fault any more; a lie stays one
            self._db.execute("DELETE FROM refused WHERE uid = ? AND word IN ('truncated', 'unreadable')", (uid,))

    def want_again(self, digests: Iterable[str]) -> None:
        """Objects that are gone from the folder are wanted again."""
        with self._transaction():
            for digest in list(digests):
                self._db.execute(
                    "UPDATE studies SET state = 'open' WHERE uid = (SELECT study FROM objects WHERE digest = ?)",
                    (digest,),
                )
                self._db.execute(
                    "UPDATE objects SET state = 'wanted', digest = NULL, size = NULL WHERE digest = ?", (digest,)
                )

    def leave(self, uid: str, word: str, *, is_final: bool) -> None:
        """An object did not come into the set; one that is not final is asked for again by the next run."""
        state = "wanted" if not is_final else "left" if word == "not_wanted" else "refused"
        with self._transaction():
            self._db.execute(
                "UPDATE objects SET state = ?, word = ? WHERE uid = ? AND state = 'wanted'", (state, word, uid)
            )

    def refuse(self, study: str, uid: str, word: str) -> None:
        """Write down that something was refused; again counts."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO refused VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                (study, uid, word),
            )

    def close_study(self, study: str) -> None:
        """A study is done where nothing is wanted of it any more."""
        with self._transaction():
            self._db.execute(
                "UPDATE studies SET state = 'done' WHERE uid = ? AND state = 'open' AND NOT EXISTS "
                "(SELECT 1 FROM objects WHERE study = ? AND state = 'wanted')",
                (study, study),
            )

    def refusals(self) -> list[Refusal]:
        """Everything that was refused or is missing, in order."""
        told = "SELECT study, uid, word, count FROM refused"
        missing = "SELECT study, uid, word, 1 FROM objects WHERE state = 'wanted' AND word = 'not_sent'"
        return [Refusal(*row) for row in self._db.execute(f"{told} UNION {missing} ORDER BY 1, 2, 3")]

    def counts(self) -> dict[str, int]:
        """Studies (`studies`, `studies_done`), objects by state, bytes, and objects beside what was wanted."""
        told = dict(self._db.execute("SELECT state, count(*) FROM objects GROUP BY state").fetchall())
        studies, beside = self._db.execute("SELECT count(*), coalesce(sum(beside), 0) FROM studies").fetchone()
        (done,) = self._db.execute("SELECT count(*) FROM studies WHERE state IN ('done', 'refused')").fetchone()
        (size,) = self._db.execute("SELECT coalesce(sum(size), 0) FROM objects WHERE state = 'have'").fetchone()
        states = {state: int(told.get(state, 0)) for state in ("wanted", "have", "refused")}
        left = int(told.get("left", 0)) + int(beside)
        return {"studies": studies, "studies_done": done, **states, "left": left, "bytes": size}

    def keyed(self, patient: str) -> str:
        """HMAC-SHA256 of a Patient ID under the key of this file."""
        return hmac.digest(self._key, patient.encode(), hashlib.sha256).hex()

    def _told(self, name: str) -> str:
        return str(self._db.execute("SELECT value FROM told WHERE name = ?", (name,)).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
