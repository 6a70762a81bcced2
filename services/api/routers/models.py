"""Published networks: list, show, publish, point aliases, delete."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, Field

from services.api.models_view import view_of, views_of
from services.api.parameters import PageOfModels
from services.api.publish import publish
from services.api.views import (
    AliasView,
    ListView,
    ModelVersionView,
    ModelView,
    alias_view,
    list_of,
)
from services.http.errors import CONFLICT, NOT_FOUND
from services.http.idempotency import Idempotency
from shared.db.engine import transaction
from shared.db.models import ALIAS, LATEST, ModelStore
from shared.jobs.spec import ModelName
from shared.nn.spec import Spec

router = APIRouter(prefix="/v1/models", tags=["models"])
MAX_VERSION = 2**31 - 1
Version = Annotated[int, Path(ge=1, le=MAX_VERSION)]


def not_latest(alias: str) -> str:
    if alias == LATEST:
        raise ValueError(f"{LATEST} is the newest version of every model; choose another word")
    return alias


NewAlias = Annotated[str, Path(pattern=ALIAS), AfterValidator(not_latest)]


class PublishRequest(Spec):
    checkpoint_id: Annotated[str, Field(max_length=200)]
    """Any checkpoint that is kept, also of a job that still runs."""


class AliasRequest(Spec):
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    """What the alias points to from now on."""


@router.get("", responses=NOT_FOUND)
def list_models(page: PageOfModels) -> ListView[ModelView]:
    """Models, newest first, each with its versions."""
    with transaction() as db:
        found = ModelStore(db).page(page.after, page.limit)
        views = views_of(db, found.rows)
    return list_of(views, "name", has_more=found.has_more)


@router.get("/{name}", responses=NOT_FOUND)
def show_model(name: str) -> ModelView:
    """A model with all its versions, the newest first."""
    with transaction() as db:
        return view_of(db, ModelStore(db).get(name))


@router.post(
    "/{name}/versions",
    status_code=201,
    response_model=ModelVersionView,
    responses={**NOT_FOUND, **CONFLICT},
)
def publish_checkpoint(
    name: ModelName, body: PublishRequest, idempotency: Idempotency
) -> JSONResponse:
    """Publish a checkpoint as the next version; inference checks it before it first serves it."""
    return JSONResponse(publish(name, body.checkpoint_id, idempotency), 201)


@router.delete("/{name}/versions/{version}", status_code=204, responses={**NOT_FOUND, **CONFLICT})
def delete_version(name: str, version: Version) -> None:
    """Delete a version that no alias points to; with the last one goes the model."""
    with transaction() as db:
        ModelStore(db).delete_version(name, version)


@router.put("/{name}/aliases/{alias}", responses={**NOT_FOUND, **CONFLICT})
def set_alias(name: str, alias: NewAlias, body: AliasRequest) -> AliasView:
    """Point an alias to a version; whoever asks for the alias from now on gets this one."""
    with transaction() as db:
        return alias_view(ModelStore(db).set_alias(name, alias, body.version))


@router.delete("/{name}/aliases/{alias}", status_code=204, responses=NOT_FOUND)
def delete_alias(name: str, alias: str) -> None:
    """Delete an alias; the version that it points to stays."""
    with transaction() as db:
        ModelStore(db).delete_alias(name, alias)
