"""Who may see the pages: whoever logged in with a key; without keys, everyone here."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Header, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from services.http.auth import lacks
from services.http.keys import ANYONE, Caller, KeyRefused, Keyring
from shared.db.viewer import view_as
from shared.scopes import Scope

COOKIE = "unroll_login"
LOGIN_LASTS_S = 7 * 24 * 3600
ASKED_BY_A_PAGE = "x-unroll-page"
"""Header of every request that changes something: no other site can make a browser send it."""


class LoginNeeded(Exception):
    """A page asked for by somebody who has not logged in."""


def keyring_of(request: Request) -> Keyring:
    keyring: Keyring = request.app.state.keyring
    return keyring


def visitor(request: Request) -> Caller:
    """Who looks at the pages; raises `KeyRefused` when nobody has logged in."""
    keyring, token = keyring_of(request), request.cookies.get(COOKIE)
    if keyring.is_open():
        return ANYONE
    if not token:
        raise KeyRefused("")
    return keyring.visitor(token)


def has_login(request: Request) -> bool:
    try:
        return visitor(request).may(Scope.READ)
    except KeyRefused:
        return False


# Asynchronous, because what a dependency in a thread says of the viewer ends with that thread.
async def page_login(request: Request) -> None:
    """For pages: raises `LoginNeeded`, which leads to the login page."""
    try:
        await _admit(request)
    except KeyRefused as refused:
        raise LoginNeeded from refused


async def data_login(request: Request) -> None:
    """For what pages fetch: 401 as JSON."""
    try:
        await _admit(request)
    except KeyRefused as refused:
        message = "The login has ended; load the page again to log in."
        raise HTTPException(401, message) from refused


async def _admit(request: Request) -> None:
    caller = await run_in_threadpool(visitor, request)
    if not caller.may(Scope.READ):
        raise KeyRefused(lacks(Scope.READ))
    request.state.caller = caller
    view_as(caller.viewer)


def can_change(request: Request) -> bool:
    """After a login: whether its key may do more than look."""
    caller: Caller = request.state.caller
    return caller.may(Scope.SUBMIT)


def may_change(request: Request) -> None:
    """After `data_login`: refuse a change by a key that may only look."""
    if not can_change(request):
        raise HTTPException(403, lacks(Scope.SUBMIT))


def can_infer(request: Request) -> bool:
    """After a login: whether its key may call models."""
    caller: Caller = request.state.caller
    return caller.may(Scope.INFER)


def may_infer(request: Request) -> None:
    """After `data_login`: refuse a call of a model by a key that may not."""
    if not can_infer(request):
        raise HTTPException(403, lacks(Scope.INFER))


def same_origin(
    request: Request,
    sec_fetch_site: Annotated[str | None, Header()] = None,
    origin: Annotated[str | None, Header()] = None,
) -> None:
    """Refuse what another site made a browser send. Every browser sends one of the two headers."""
    site = sec_fetch_site or _site_of(origin, request)
    if site != "same-origin":
        raise HTTPException(403, "This request did not come from a page of this dashboard.")


def asked_by_a_page(request: Request) -> None:
    """Refuse a change that lacks the pages' own header."""
    if ASKED_BY_A_PAGE not in request.headers:
        raise HTTPException(403, f"Only pages may do this; send {ASKED_BY_A_PAGE}: 1.")


CHANGES = [Depends(same_origin), Depends(asked_by_a_page), Depends(may_change)]
INFERS = [Depends(same_origin), Depends(asked_by_a_page), Depends(may_infer)]
LOOKS = [Depends(same_origin), Depends(asked_by_a_page)]
"""For a POST that changes nothing, and has a body to look at."""


def _site_of(origin: str | None, request: Request) -> str:
    is_ours = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    return "same-origin" if is_ours else "cross-site"


def local_path(wanted: str) -> str:
    """Where to go after a login: a path of this site, whatever the address asked for."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_local and wanted.isprintable() else "/"
