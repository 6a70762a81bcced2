"""Who holds which key: asked of the database, and remembered for five seconds. Knows no HTTP."""

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from services.http.errors import AWAY
from shared.config import get_settings
from shared.db.engine import transaction
from shared.db.keys import KeyStore, digest_of
from shared.db.tables import ApiKeyRow
from shared.db.viewer import NO_OWNER, Viewer
from shared.scopes import EVERY_SCOPE, Scope

REMEMBERED_S = 5.0  # also how long a revoked key may still work
MOST_REMEMBERED = 10_000
LOGIN = "Login"
"""The scheme with which the dashboard hands on who is logged in there, as only it knows the token."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a request, known by a key."""

    key_id: str
    scopes: frozenset[Scope]
    ends_at: datetime | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.key_id, sees_all=Scope.ADMIN in self.scopes)


ANYONE = Caller(NO_OWNER, EVERY_SCOPE)
"""Whoever reaches a service that has no keys, which listens on loopback alone."""


class KeyRefused(Exception):
    """A key that opens nothing (any more); the text says why."""


UNKNOWN = "This key is unknown."


class Keyring:
    """The keys of the settings, which are the operator's, and those in the database."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Caller]] = {}
        self._has_keys = False
        self._looked_at: float | None = None

    def is_open(self) -> bool:
        """Whether there are no keys at all. Once there was one, never again in this process."""
        if get_settings().api_keys or self._has_keys:
            return False
        if not self._has_looked():
            now = time.monotonic()
            self._look()
            self._looked_at = now
        return not self._has_keys

    def _has_looked(self) -> bool:
        """Whether the last look at the database still holds."""
        return self._looked_at is not None and time.monotonic() - self._looked_at < REMEMBERED_S

    def holder(self, scheme: str, secret: str) -> Caller:
        """Who holds this secret, sent under a scheme of `Authorization`; raises `KeyRefused`."""
        if self.is_open():
            return ANYONE
        if scheme == LOGIN and secret:
            return self.visitor(secret)
        if scheme.lower() != "bearer" or not secret:
            raise KeyRefused("")
        return self.caller(secret)

    def remembered(self, scheme: str, secret: str) -> Caller | None:
        """As `holder`, from memory alone; None where the database has to be asked."""
        if not (get_settings().api_keys or self._has_keys):
            return ANYONE if self._has_looked() else None
        if scheme == LOGIN:
            return self._in_memory("login", digest_of(secret))
        if scheme.lower() != "bearer":
            return None
        return _of_settings(secret) or self._in_memory("key", digest_of(secret))

    def caller(self, secret: str) -> Caller:
        """Who holds this secret.

        Raises:
            KeyRefused: nobody, or the key has ended.
        """
        return _of_settings(secret) or self._looked_up("key", secret, _by_key)

    def visitor(self, token: str) -> Caller:
        """Who logged in to the dashboard and got this token; raises `KeyRefused` as well."""
        return self._looked_up("login", token, _by_login)

    def log_in(self, caller: Caller, lasts_s: float) -> str:
        """A token that is good for so long, and no longer than its key."""
        token = secrets.token_urlsafe(32)
        ends_at = datetime.now(UTC) + timedelta(seconds=lasts_s)
        with transaction() as db:
            KeyStore(db).add_login(caller.key_id, digest_of(token), ends_at)
        return token

    def log_out(self, token: str) -> None:
        self._known.pop(f"login {digest_of(token)}", None)
        with transaction() as db:
            KeyStore(db).end_login(digest_of(token))

    def _look(self) -> None:
        try:
            with transaction() as db:
                self._has_keys = KeyStore(db).exist()
        except AWAY:
            if self._looked_at is None:
                raise
            # what was true before the database went away: it alone could have told otherwise

    def _in_memory(self, kind: str, digest: str) -> Caller | None:
        until, caller = self._known.get(f"{kind} {digest}", (0.0, ANYONE))
        return None if time.monotonic() >= until or has_ended(caller) else caller

    def _looked_up(self, kind: str, secret: str, find: Callable[[str], Caller]) -> Caller:
        digest = digest_of(secret)
        caller = self._in_memory(kind, digest)
        if caller is None:
            caller = find(digest)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[f"{kind} {digest}"] = (time.monotonic() + REMEMBERED_S, caller)
        return caller


def has_ended(caller: Caller) -> bool:
    return caller.ends_at is not None and caller.ends_at <= datetime.now(UTC)


def _of_settings(secret: str) -> Caller | None:
    """The operator, who may do everything."""
    known = [
        hmac.compare_digest(secret.encode(), key.get_secret_value().encode())
        for key in get_settings().api_keys
    ]
    return _operator(secret) if any(known) else None


def _operator(secret: str) -> Caller:
    return Caller(f"operator_{sha256(secret.encode()).hexdigest()[:16]}", EVERY_SCOPE)


def _by_key(digest: str) -> Caller:
    with transaction() as db:
        store = KeyStore(db)
        caller = _live(store.find(digest))
        store.note_use(caller.key_id)
    return caller


def _by_login(digest: str) -> Caller:
    with transaction() as db:
        store = KeyStore(db)
        key_id = store.key_of_login(digest)
        for key in get_settings().api_keys:
            operator = _operator(key.get_secret_value())
            if operator.key_id == key_id:
                return operator
        return _live(store.find_id(key_id or ""))


def _live(row: ApiKeyRow | None) -> Caller:
    if row is None:
        raise KeyRefused(UNKNOWN)
    caller = Caller(row.id, frozenset(map(Scope, row.scopes)), row.expires_at)
    if row.revoked_at is not None:
        raise KeyRefused("This key was revoked.")
    if has_ended(caller):
        raise KeyRefused(f"This key expired on {row.expires_at:%Y-%m-%d %H:%M} UTC.")
    return caller
