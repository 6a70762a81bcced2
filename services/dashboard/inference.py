"""Asks the inference service for what a page shows, in the name of who is logged in there."""

from typing import Any

import httpx
from fastapi import Request

from services.dashboard.access import COOKIE
from services.http.keys import LOGIN
from shared.config import get_settings

TIMEOUT_S = 60.0


class Refused(Exception):
    """What a person is told in the place of an answer."""

    def __init__(self, title: str, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.title, self.message, self.advice = title, message, advice


def ask(request: Request, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON that inference answers; raises `Refused` when it refuses or does not answer."""
    settings = get_settings()
    url = (settings.inference_internal_url or settings.inference_url).rstrip("/")
    token = request.cookies.get(COOKIE)
    headers = {"Authorization": f"{LOGIN} {token}"} if token else {}
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = client.post(f"{url}{path}", json=body, headers=headers)
    except httpx.TransportError as error:
        raise _away(url, error) from error
    return _read(answer, url)


def _away(url: str, error: httpx.TransportError) -> Refused:
    slow = isinstance(error, httpx.TimeoutException)
    said = f"did not answer within {TIMEOUT_S:g} s" if slow else "does not answer"
    advice = "Start it with `unroll inference`, or set UNROLL_INFERENCE_URL to where it is."
    return Refused("Inference is out of reach", f"The service at {url} {said}.", advice)


def _read(answer: httpx.Response, url: str) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        message = f"What answers at {url} is not the inference service."
        raise Refused("Inference is out of reach", message, "Check UNROLL_INFERENCE_URL.")
    if answer.is_success:
        return found
    fault = found.get("error") or {"message": f"status {answer.status_code}"}
    advice = "Mend the input and try again." if answer.status_code in (413, 422) else ""
    raise Refused("Refused", str(fault["message"]), advice)
