"""Who may see the pages: a cookie derived from a configured key; without keys, everyone here."""

import hmac
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Header, HTTPException, Request

from shared.config import Settings, get_settings

COOKIE = "unroll_login"
LOGIN_LASTS_S = 7 * 24 * 3600
ASKED_BY_A_PAGE = "x-unroll-page"
"""Header of every request that changes something: no other site can make a browser send it."""


class LoginNeeded(Exception):
    """A page asked for by somebody who has not logged in."""


def token_for(key: str, now_s: float) -> str:
    """A login that names its end and can be checked, but not turned back into the key."""
    ends_at = int(now_s) + LOGIN_LASTS_S
    return f"{ends_at}.{_signature(key, ends_at)}"


def is_login(token: str, settings: Settings, now_s: float) -> bool:
    """Whether one of the configured keys signed the token, and it has not ended."""
    end, _, signature = token.partition(".")
    if not (end.isascii() and end.isdigit() and len(end) <= 12 and signature.isascii()):
        return False
    known = [hmac.compare_digest(signature, mine) for mine in _signatures(settings, int(end))]
    return any(known) and int(end) > now_s


def _signatures(settings: Settings, ends_at: int) -> Iterator[str]:
    for key in settings.api_keys:
        yield _signature(key.get_secret_value(), ends_at)


def _signature(key: str, ends_at: int) -> str:
    return hmac.new(key.encode(), f"unroll dashboard until {ends_at}".encode(), sha256).hexdigest()


def has_login(request: Request) -> bool:
    settings = get_settings()
    if not settings.api_keys:
        return True
    return is_login(request.cookies.get(COOKIE, ""), settings, time.time())


def page_login(request: Request) -> None:
    """For pages: raises `LoginNeeded`, which leads to the login page."""
    if not has_login(request):
        raise LoginNeeded


def data_login(request: Request) -> None:
    """For what pages fetch: 401 as JSON."""
    if not has_login(request):
        raise HTTPException(401, "The login has ended; load the page again to log in.")


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


def _site_of(origin: str | None, request: Request) -> str:
    is_ours = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    return "same-origin" if is_ours else "cross-site"


def local_path(wanted: str) -> str:
    """Where to go after a login: a path of this site, whatever the address asked for."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_local and wanted.isprintable() else "/"
