"""Keys of a service, for those whose own key has the scope `admin`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from services.client.calls import Caller, every, part
from services.client.models import Key, Page
from services.client.transport import Call


class KeyCalls(Caller):
    def keys_page(self, *, limit: int | None = None, after: str | None = None) -> Page[Key]:
        return self._page(Key, "/v1/keys", {"limit": limit, "after": after})

    def keys(self) -> Iterator[Key]:
        """Every key, newest first, ended ones too; their secrets are not stored."""
        return every(self.keys_page)

    def create_key(
        self, name: str, scopes: Sequence[str] = (), *, expires_at: datetime | None = None
    ) -> Key:
        """Make a key, which has its `secret` this once; no scopes = all but admin."""
        wanted: dict[str, Any] = {"name": name, "expires_at": expires_at and expires_at.isoformat()}
        if scopes:
            wanted["scopes"] = list(scopes)
        return Key.of(self._api.json(Call("POST", "/v1/keys", json=wanted)))

    def revoke_key(self, key_id: str) -> None:
        """Revoke a key for good; what it owns stays."""
        self._api.send(Call("DELETE", f"/v1/keys/{part(key_id)}"))
