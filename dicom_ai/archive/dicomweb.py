"""An archive that speaks DICOMweb: QIDO-RS answers questions, WADO-RS gives objects (PS3.18 10.4, 10.6).

The library asks and takes multipart answers apart; the session under it goes to one server alone, follows no redirect,
asks no proxy, sends no credentials of its own finding, and takes no more bytes or time than were said. Objects come as
they are stored, byte for byte. What this is not: a judgement of what arrives.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from dicom_ai.archive.answers import text
from dicom_ai.archive.contents import Series
from dicom_ai.archive.source import MOST_UNASKED, Take
from dicom_ai.errors import After, PeerFailed, PeerRefused, PeerUnreachable

PAGE = 100
"""Answers asked for at once."""

MOST_ANSWERS = 10_000
"""To one question; a window of days with more is asked in halves."""

LONGEST_ANSWER = 1 << 26
"""Bytes of one page of answers."""

_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_OUT_OF_RESOURCES, _CANNOT = 0xA700, 0xC000
_LEVELS = {"STUDY": "search_for_studies", "SERIES": "search_for_series", "IMAGE": "search_for_instances"}
_PATH_OF = {"STUDY": (), "SERIES": ("StudyInstanceUID",), "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID")}
_NEVER_SENT = ("QueryRetrieveLevel", "SpecificCharacterSet")

logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it would log UIDs, and questions with their values


class Dicomweb:
    """A DICOMweb service."""

    def __init__(self, url: str, *, longest: int, timeout_s: float, authorization: str = "") -> None:
        """Name the service; nothing is called yet.

        Args:
            url: of the service, without credentials.
            longest: bytes of one object.
            timeout_s: a server silent this long is given up; an answer may take five times that, seconds.
            authorization: value of the HTTP header of that name.

        Raises:
            ValueError: the URL is none of http or https, or has credentials in it.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a DICOMweb service looks like https://pacs.example.org/dicom-web")
        if parts.username or parts.password:
            raise ValueError("no credentials in the URL; they would stand in lists of processes and in logs")
        self._url, self._longest, self._timeout_s = url.rstrip("/"), longest, timeout_s
        self._authorization = authorization
        self._session: _Bounded | None = None

    def find(self, asked: Dataset) -> Iterator[Dataset]:
        """See `pages.Asked`. Pages are asked for until one brings nothing new: servers have limits of their own."""
        level, seen, offset = str(asked.QueryRetrieveLevel), set[str](), 0
        place = [text(asked, keyword) for keyword in _PATH_OF[level]]
        keywords = [one.keyword for one in asked if one.keyword not in (*_NEVER_SENT, *_PATH_OF[level])]
        filters = {keyword: said for keyword in keywords if (said := text(asked, keyword))}
        while True:
            answers = self._page(level, place, {"fields": keywords, "search_filters": filters, "offset": offset})
            new = [one for one in answers if repr(one) not in seen]
            seen |= {repr(one) for one in new}
            for one in new:
                yield _answer(one, level)
            if not new:
                return
            if len(seen) > MOST_ANSWERS:
                raise PeerFailed(_OUT_OF_RESOURCES, After.RETRY, f"more than {MOST_ANSWERS} answers")
            offset += len(answers)

    def fetch(self, wanted: Series, take: Take, *, one_by_one: bool) -> None:
        """See `source.Source`. Objects are always asked for one by one."""
        failed, n_unasked = None, 0
        for uid in wanted.images:
            url = f"{self._url}/studies/{wanted.study}/series/{wanted.uid}/instances/{uid}"
            try:
                client, session = self._client(self._longest)
                session.accept = _AS_STORED
                parts = self._called(lambda: client.retrieve_bulkdata(url))  # noqa: B023 - called at once
            except PeerFailed as exc:  # of one object; the others may come
                failed = exc
                continue
            for part in parts:
                n_unasked += not take(bytes(part), uid)
            if n_unasked > MOST_UNASKED:
                raise PeerUnreachable("it sends what nobody asked for")
        if failed is not None:
            raise failed

    def rest(self) -> None:
        """See `source.Source`."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def _page(self, level: str, place: list[str], asked: dict[str, Any]) -> list[dict[str, Any]]:
        client, _ = self._client(LONGEST_ANSWER)
        search = getattr(client, _LEVELS[level])
        answers = self._called(lambda: search(*place, limit=PAGE, **asked))
        if not isinstance(answers, list) or not all(isinstance(one, dict) for one in answers):
            raise PeerFailed(_CANNOT, After.RETRY, "an answer is no list of data sets")
        return answers

    def _client(self, longest: int) -> tuple[DICOMwebClient, "_Bounded"]:
        if self._session is None:
            self._session = _Bounded(self._url, self._authorization)
        self._session.longest, self._session.limit_s = longest, 5 * self._timeout_s
        self._session.accept = ""
        client = DICOMwebClient(self._url, session=self._session, timeout=self._timeout_s)
        client.set_http_retry_params(retry=False)
        return client, self._session

    def _called(self, act: Any) -> Any:
        """Call the library; its errors name URLs, with UIDs and questions in them, and are told in our words."""
        try:
            return act()
        except requests.HTTPError as exc:
            status = exc.response.status_code if exc.response is not None else 0
            if status in (401, 403):
                raise PeerRefused(f"HTTP {status}: it lets us not in") from None
            raise PeerFailed(_CANNOT, After.RETRY, f"HTTP {status}") from None
        except requests.RequestException as exc:
            self.rest()
            raise PeerUnreachable(type(exc).__name__) from None
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as exc:
            raise PeerFailed(_CANNOT, After.RETRY, f"an answer cannot be read ({type(exc).__name__})") from None


class _Bounded(requests.Session):
    """A session with one server, and with limits."""

    def __init__(self, url: str, authorization: str) -> None:
        super().__init__()
        self.trust_env, self.longest, self.limit_s, self.accept = False, 0, 0.0, ""
        self._server = urlsplit(url)[:2]
        if authorization:
            self.headers["Authorization"] = authorization

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        """As the library's, but whole, within the limits, and nowhere else."""
        if urlsplit(str(request.url))[:2] != self._server:
            raise requests.exceptions.InvalidURL("another server")
        request.headers.pop("Host", None)  # the library leaves the port out
        if self.accept:
            request.headers["Accept"] = self.accept
        response = super().send(request, **(more | {"stream": True, "allow_redirects": False}))
        if response.is_redirect:
            response.close()
            raise requests.TooManyRedirects("it sends us elsewhere")
        response._content = self._content(response)  # noqa: SLF001 - what the library does where nobody watches
        response._content_consumed = True  # noqa: SLF001
        return response

    def _content(self, response: requests.Response) -> bytes:
        until, content = time.monotonic() + self.limit_s, bytearray()
        with response:
            for chunk in response.iter_content(1 << 18):
                content += chunk
                if len(content) > self.longest or time.monotonic() > until:
                    raise requests.ConnectionError("it sends more, or longer, than any answer takes")
        return bytes(content)


def _answer(said: dict[str, Any], level: str) -> Dataset:
    """DICOM JSON (PS3.18 F) as a data set; what cannot be read of it is absent."""
    answer = Dataset()
    for tag, element in said.items():
        try:
            answer.update(Dataset.from_json({tag: element}, bulk_data_uri_handler=lambda *_: b""))
        except Exception:  # noqa: BLE001, S112 - whatever a foreign answer makes the library raise; it names values
            continue
    answer.QueryRetrieveLevel = level
    return answer
