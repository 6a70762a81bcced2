"""The login page: a key comes in by a form, a cookie goes out, and the key is forgotten."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from services.dashboard.access import (
    COOKIE,
    LOGIN_LASTS_S,
    has_login,
    local_path,
    same_origin,
    token_for,
)
from services.dashboard.rendering import PageRoute, render
from services.http.auth import is_known
from shared.config import get_settings

router = APIRouter(route_class=PageRoute, include_in_schema=False)
MAX_KEY = 1000


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:
    if has_login(request):
        return RedirectResponse(local_path(next), 303)
    return render("login.html", next=local_path(next), is_wrong=False)


@router.post("/login", dependencies=[Depends(same_origin)])
def log_in(
    request: Request,
    key: Annotated[str, Form(max_length=MAX_KEY)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    if not is_known(key.strip(), get_settings()):
        return render("login.html", 401, next=local_path(next), is_wrong=True)
    answer = RedirectResponse(local_path(next), 303)
    answer.set_cookie(
        COOKIE,
        token_for(key.strip(), time.time()),
        max_age=LOGIN_LASTS_S,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


@router.post("/logout", dependencies=[Depends(same_origin)])
def log_out() -> Response:
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
