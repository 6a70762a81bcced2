"""Published networks: list, show."""

from fastapi import APIRouter

from services.api.parameters import PageOfModels
from services.api.views import ListView, ModelView, list_of, model_view
from services.http.errors import NOT_FOUND
from shared.db.engine import transaction
from shared.db.models import ModelStore

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", responses=NOT_FOUND)
def list_models(page: PageOfModels) -> ListView[ModelView]:
    """Models, newest first, each with its versions."""
    with transaction() as db:
        store = ModelStore(db)
        found = store.page(page.after, page.limit)
        versions = store.versions(found.rows)
    views = [model_view(*each) for each in zip(found.rows, versions, strict=True)]
    return list_of(views, "name", has_more=found.has_more)


@router.get("/{name}", responses=NOT_FOUND)
def show_model(name: str) -> ModelView:
    """A model with all its versions, the newest first."""
    with transaction() as db:
        store = ModelStore(db)
        model = store.get(name)
        return model_view(model, *store.versions([model]))
