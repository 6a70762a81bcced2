"""Who may come in: bearer keys, compared in constant time; without keys, this machine alone."""

import hmac
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from shared.config import Settings, get_settings, is_loopback

bearer = HTTPBearer(auto_error=False, description="One of the keys in UNROLL_API_KEYS")


KEY_WANTED = "Send a configured key as 'Authorization: Bearer <key>'."


class OpenToTheWorld(Exception):
    """A bind address that others can reach, and no key to keep them out."""


def is_known(key: str, settings: Settings) -> bool:
    known = [
        hmac.compare_digest(key.encode(), candidate.get_secret_value().encode())
        for candidate in settings.api_keys
    ]
    return any(known)


def is_admitted(authorization: str | None, settings: Settings) -> bool:
    """Whether a request with this header may come in; all may where no keys are configured."""
    scheme, key = get_authorization_scheme_param(authorization)
    return not settings.api_keys or (scheme.lower() == "bearer" and is_known(key, settings))


def require_key(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> str:
    """The owner that a request acts for: a digest of its key, or "" where none are configured."""
    settings = get_settings()
    if not settings.api_keys:
        return ""
    if credentials is None or not is_known(credentials.credentials, settings):
        raise HTTPException(401, KEY_WANTED, headers={"WWW-Authenticate": "Bearer"})
    return sha256(credentials.credentials.encode()).hexdigest()[:16]


Owner = Annotated[str, Depends(require_key)]


def check_bind(host: str, settings: Settings) -> None:
    """Raise `OpenToTheWorld` for an address beyond this machine without keys."""
    if not settings.api_keys and not is_loopback(host):
        raise OpenToTheWorld(
            f"Refusing to listen on {host} without keys: anyone who reaches it could use it. "
            "Set UNROLL_API_KEYS (comma-separated), or listen on 127.0.0.1."
        )
