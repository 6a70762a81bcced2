"""`/docs`: the API described in a page that works offline."""

import gzip
from functools import lru_cache

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from services.dashboard.rendering import render
from services.dashboard.views.openapi import Document, document

PACKED = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
docs_router = APIRouter(include_in_schema=False)


@docs_router.get("/docs", response_class=HTMLResponse)
def docs_page(request: Request) -> HTMLResponse:
    """Every route with its parameters, body and answers, as `/openapi.json` has them."""
    answer = render("docs.html", doc=_document(request.app))
    answer.headers["Vary"] = "Accept-Encoding"
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return answer
    # by far the longest page, with no secret that a packed length could betray
    headers = {**PACKED, "Cache-Control": answer.headers["Cache-Control"]}
    return HTMLResponse(gzip.compress(answer.body, mtime=0), headers=headers)


@lru_cache(maxsize=1)
def _document(app: FastAPI) -> Document:
    return document(app.openapi())
