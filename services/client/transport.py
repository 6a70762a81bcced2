"""How a request is sent, sent again and refused; knows no noun of the product."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from services.client.errors import TimedOut, UnexpectedAnswer, Unreachable, error_of
from shared.config import is_loopback

REPEATABLE = frozenset({"GET", "PUT", "PATCH"})  # a second one changes nothing more
REFUSED_FOR_NOW = frozenset({429, 503})  # nothing was done
PASSED_ON = frozenset({502, 504})  # by a proxy: it may have been done
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
LONGEST_RETRY_AFTER_S = 60.0  # told to wait longer than this, we report instead


Param = str | int | list[str]


@dataclass(frozen=True)
class Call:
    """One request, which can be made again."""

    method: str
    path: str
    params: Mapping[str, Param] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    file: BinaryIO | None = None
    """Streamed as the multipart field `file`; seekable."""
    headers: Mapping[str, str] = field(default_factory=dict)
    read_timeout_s: float | None = None
    """Instead of the client's."""
    is_repeatable: bool | None = None
    """Whether a second one changes nothing more; None = by the method."""

    @property
    def repeatable(self) -> bool:
        return self.method in REPEATABLE if self.is_repeatable is None else self.is_repeatable


def creating(path: str, *, idempotency_key: str | None = None, **details: Any) -> Call:
    """A POST that creates: its key makes the second one give the first one's answer."""
    headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
    return Call("POST", path, headers=headers, is_repeatable=True, **details)


class Transport:
    """One service. Retries what is safe to repeat, and turns refusals into errors."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None,
        timeout_s: float,
        max_retries: int,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url
        self.max_retries = max_retries
        self.sleep = sleep
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            timeout=timeout_s,
            transport=transport,
            trust_env=not is_loopback(urlsplit(base_url).hostname or ""),  # no proxy to ourselves
        )

    def close(self) -> None:
        self._http.close()

    def json(self, call: Call) -> dict[str, Any]:
        """The JSON object of a successful answer.

        Raises:
            ApiError, Unreachable, TimedOut, UnexpectedAnswer
        """
        return _object_of(self.send(call))

    def look(self, path: str) -> dict[str, Any]:
        """The JSON object at `path` whatever the status, asked for once."""
        try:
            return _object_of(self._http.get(path))
        except httpx.TransportError as fault:
            raise self._translated(fault) from fault

    def send(self, call: Call, *, stream: bool = False) -> httpx.Response:
        """A successful answer, after as many retries as are allowed and safe."""
        for attempt in range(self.max_retries + 1):
            pause_s = self._backoff_s(attempt) if attempt < self.max_retries else None
            try:
                response = self._http.send(self._request(call), stream=stream)
            except httpx.TransportError as fault:
                if pause_s is None or not _may_repeat(call, fault):
                    raise self._translated(fault) from fault
            else:
                pause_s = _asked_pause_s(call, response, pause_s)
                if pause_s is None:
                    return _checked(response)
                response.close()
            self.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _request(self, call: Call) -> httpx.Request:
        if call.file is not None:
            call.file.seek(0)
        usual_s = self._http.timeout.read
        timeout = httpx.Timeout(usual_s, read=call.read_timeout_s or usual_s)
        return self._http.build_request(
            call.method,
            call.path,
            params=call.params or None,
            json=call.json,
            data=call.form,
            files={"file": (_name_of(call.file), call.file)} if call.file else None,
            headers=call.headers,
            timeout=timeout,
        )

    def _backoff_s(self, attempt: int) -> float:
        longest = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
        return random.uniform(longest / 2, longest)  # noqa: S311 -- spreads clients, guards nothing

    def _translated(self, fault: httpx.TransportError) -> TimedOut | Unreachable:
        if isinstance(fault, httpx.TimeoutException) and not isinstance(fault, CONNECTING):
            return TimedOut(f"{self.base_url} gave no answer in time; --timeout-s waits longer.")
        return Unreachable(self.base_url, str(fault) or type(fault).__name__)


CONNECTING = (httpx.ConnectError, httpx.ConnectTimeout)  # nothing was sent


def _may_repeat(call: Call, fault: httpx.TransportError) -> bool:
    if isinstance(fault, httpx.UnsupportedProtocol | httpx.TimeoutException):
        return False
    return call.repeatable or isinstance(fault, CONNECTING)


def _asked_pause_s(call: Call, response: httpx.Response, pause_s: float | None) -> float | None:
    """Seconds until the request is worth another try; None when it is not."""
    worth = response.status_code in REFUSED_FOR_NOW or (
        call.repeatable and response.status_code in PASSED_ON
    )
    if pause_s is None or not worth or response.headers.get("x-should-retry") == "false":
        return None
    asked_s = retry_after_s(response.headers.get("retry-after", ""))
    if asked_s is None:
        return pause_s
    return asked_s if asked_s <= LONGEST_RETRY_AFTER_S else None


def retry_after_s(value: str) -> float | None:
    """Seconds of a Retry-After header, given as a number or as a date; None when it is neither."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _object_of(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UnexpectedAnswer(f"{response.url} did not answer as unroll does; check the URL")
    return answer


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    if response.is_redirect:
        response.close()
        where = response.headers["location"]
        raise UnexpectedAnswer(f"{response.url} sends on to {where}; use that URL instead")
    response.read()
    try:
        body = response.json()
    except ValueError:
        body = response.text
    response.close()
    raise error_of(response.status_code, body)


def _name_of(file: BinaryIO | None) -> str:
    return Path(str(getattr(file, "name", "data"))).name
