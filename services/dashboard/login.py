"""The login page: a key comes in by a form, a cookie goes out, and the key is forgotten."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from services.dashboard.access import (
    COOKIE,
    LOGIN_LASTS_S,
    has_login,
    keyring_of,
    local_path,
    same_origin,
)
from services.dashboard.rendering import PageRoute, render
from services.http.auth import address_of, lacks
from services.http.keys import KeyRefused
from services.http.rates import RateLimiter, TooOften
from shared.scopes import Scope

router = APIRouter(route_class=PageRoute, include_in_schema=False)
MAX_KEY = 1000


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:
    if has_login(request):
        return RedirectResponse(local_path(next), 303)
    return render("login.html", next=local_path(next), fault=None)


@router.post("/login", dependencies=[Depends(same_origin)])
def log_in(
    request: Request,
    key: Annotated[str, Form(max_length=MAX_KEY)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    keyring = keyring_of(request)
    try:
        caller = keyring.caller(key.strip())
    except KeyRefused as refused:
        return _refused(request, str(refused), local_path(next))
    if not caller.may(Scope.READ):
        return render("login.html", 403, next=local_path(next), fault=lacks(Scope.READ))
    answer = RedirectResponse(local_path(next), 303)
    answer.set_cookie(
        COOKIE,
        keyring.log_in(caller, LOGIN_LASTS_S),
        max_age=LOGIN_LASTS_S,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


def _refused(request: Request, fault: str, next: str) -> Response:
    """The page again."""
    limiter: RateLimiter = request.app.state.limiter
    try:
        limiter.take(address_of(request.scope))
    except TooOften as often:
        page = render("login.html", 429, next=next, fault=str(often))
        page.headers["Retry-After"] = str(often.retry_after_s)
        return page
    return render("login.html", 401, next=next, fault=fault)


@router.post("/logout", dependencies=[Depends(same_origin)])
def log_out(request: Request) -> Response:
    keyring_of(request).log_out(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
