"""How a page is made from a template, and which page a fault becomes; knows no job."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.dashboard.access import LoginNeeded
from services.dashboard.views import words
from services.http.errors import AWAY, RETRY_AFTER_S
from shared.db.viewer import NO_OWNER, current_owner
from shared.jobs.errors import NotFound
from shared.logging import get_logger

log = get_logger(__name__)
HERE = Path(__file__).parent
HEADERS = {"Cache-Control": "no-cache, private"}

environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters.update(number=words.number, duration=words.duration, size=words.size)


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page; `has_login` says whether there is somebody to log out."""
    has_login = current_owner() != NO_OWNER
    text = environment.get_template(template).render(has_login=has_login, **values)
    return HTMLResponse(text, status, headers=HEADERS)


def error_page(
    status: int, title: str, message: str, headers: dict[str, str] | None = None
) -> HTMLResponse:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    answer = render("error.html", status, title=title, message=message, request_id=request_id)
    answer.headers.update(headers or {})
    return answer


def to_login(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)


def _not_found(request: Request, error: Exception) -> Response:
    message = f"{error} It may have been deleted."
    return error_page(404, "Not found", message)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    names = ", ".join(sorted({str(fault["loc"][1]) for fault in error.errors()}))
    message = f"The address holds a value that is not allowed here: {names}."
    return error_page(422, "This address does not work", message)


def _away(request: Request, error: Exception) -> Response:
    log.warning("a server behind this one is away", error=str(error))
    message = "The database does not answer. Training goes on where it can; try again shortly."
    return error_page(503, "Out of reach", message, {"Retry-After": str(RETRY_AFTER_S)})


PAGES: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    LoginNeeded: lambda request, _: to_login(request),
    NotFound: _not_found,
    RequestValidationError: _invalid,
    **dict.fromkeys(AWAY, _away),
}
"""What a person sees instead of the JSON that a program would get."""


class PageRoute(APIRoute):
    """A route whose faults are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_with_pages(request: Request) -> Response:
            try:
                return await handle(request)
            except tuple(PAGES) as error:
                kind = next(kind for kind in PAGES if isinstance(error, kind))
                return PAGES[kind](request, error)

        return handle_with_pages
