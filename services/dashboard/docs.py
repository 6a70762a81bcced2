"""`/docs`: the API described in a page that works offline."""

from functools import lru_cache

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from services.dashboard.rendering import render
from services.dashboard.views.openapi import Document, document

docs_router = APIRouter(include_in_schema=False)


@docs_router.get("/docs", response_class=HTMLResponse)
def docs_page(request: Request) -> HTMLResponse:
    """Every route with its parameters, body and answers, as `/openapi.json` has them."""
    return render("docs.html", doc=_document(request.app))


@lru_cache(maxsize=1)
def _document(app: FastAPI) -> Document:
    return document(app.openapi())
