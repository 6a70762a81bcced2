"""Answers to what pages fetch: 304 while nothing has changed, as JSON or as a rendered part."""

from hashlib import sha256
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from services.dashboard.rendering import environment


def conditional(request: Request, view: BaseModel) -> Response:
    """The view as JSON, or 304 when the browser has it already."""
    return _conditional(request, view.model_dump_json(), "application/json")


def conditional_part(request: Request, name: str, **values: Any) -> Response:
    """A part of a page, to take the place of what the browser shows, or 304."""
    return _conditional(request, part_text(name, **values), "text/html")


def part_text(name: str, **values: Any) -> str:
    return environment.get_template(f"parts/{name}.html").render(**values)


def _conditional(request: Request, text: str, media_type: str) -> Response:
    content = text.encode()
    tag = f'"{sha256(content).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache, private"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
