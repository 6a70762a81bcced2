"""Keys: make, list, revoke; for administrators."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from services.api.parameters import PageOfKeys
from services.api.views import KeyView, ListView, NewKeyView, key_view, list_of, new_key_view
from services.http.errors import NOT_FOUND
from shared.db.engine import transaction
from shared.db.keys import KeyStore
from shared.scopes import USUAL_SCOPES, KeyName, Scope

PATH = "/v1/keys"
router = APIRouter(prefix=PATH, tags=["keys"])


def _in_the_future(moment: datetime) -> datetime:
    if moment <= datetime.now(UTC):
        raise ValueError("this lies in the past; give a time to come, or null for no end")
    return moment


class KeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: KeyName
    """What it is for, for people."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] = [*USUAL_SCOPES]
    expires_at: Annotated[AwareDatetime, AfterValidator(_in_the_future)] | None = None


@router.post("", status_code=201)
def create_key(wanted: KeyRequest, response: Response) -> NewKeyView:
    """Make a key; its secret is shown this once, and so there is no Idempotency-Key here."""
    response.headers["Cache-Control"] = "no-store"
    with transaction() as db:
        return new_key_view(*KeyStore(db).create(wanted.name, wanted.scopes, wanted.expires_at))


@router.get("")
def list_keys(page: PageOfKeys) -> ListView[KeyView]:
    """All keys, newest first, revoked and expired ones too; secrets are not stored."""
    with transaction() as db:
        found = KeyStore(db).page(page.after, page.limit)
    return list_of([key_view(row) for row in found.rows], "id", has_more=found.has_more)


@router.delete("/{key_id}", status_code=204, responses=NOT_FOUND)
def revoke_key(key_id: str) -> None:
    """Revoke a key for good; it opens nothing from five seconds later on. What it owns stays."""
    with transaction() as db:
        KeyStore(db).revoke(key_id)
