"""Models with what their views need beside the row: versions and aliases."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.api.views import ModelView, model_view
from shared.db.models import ModelStore
from shared.db.tables import ModelRow


def views_of(db: Session, models: Sequence[ModelRow]) -> list[ModelView]:
    store = ModelStore(db)
    aliases: dict[tuple[str, str], dict[str, int]] = {(m.owner, m.name): {} for m in models}
    for alias in store.aliases(models):
        aliases[alias.owner, alias.name][alias.alias] = alias.version
    versions = store.versions(models)
    return [
        model_view(model, found, aliases[model.owner, model.name])
        for model, found in zip(models, versions, strict=True)
    ]


def view_of(db: Session, model: ModelRow) -> ModelView:
    return views_of(db, [model])[0]
