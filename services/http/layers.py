"""What every service of ours has around its endpoints, in the one order that is right."""

from collections.abc import Mapping

from fastapi import FastAPI

from services.http.auth import KeyMiddleware, ScopeOf
from services.http.bodies import BodyMiddleware
from services.http.errors import add_error_handlers
from services.http.keys import Keyring
from services.http.middleware import RequestMiddleware
from services.http.rates import RateLimiter


def add_layers(
    app: FastAPI, service: str, scope_of: ScopeOf, limits: Mapping[str, str] | None = None
) -> None:
    """From the outside in: ids, headers and counts; keys and rates; bodies; errors in the one form.

    `limits` names the setting that bounds the body at a path; elsewhere, max_body_bytes.
    """
    app.state.keyring, app.state.limiter = keyring, limiter = Keyring(), RateLimiter()
    app.add_middleware(BodyMiddleware, limits=limits or {})
    app.add_middleware(KeyMiddleware, keyring=keyring, limiter=limiter, scope_of=scope_of)
    app.add_middleware(RequestMiddleware, service=service)
    add_error_handlers(app)
