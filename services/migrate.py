"""Bring a database up to date: its schema, then the built-in datasets."""

from shared.config import get_settings
from shared.data.builtin import BUILTINS, MissingExtra
from shared.db.engine import transaction
from shared.db.migrate import upgrade
from shared.db.seed import ensure_builtin
from shared.logging import get_logger

log = get_logger(__name__)


def migrate() -> None:
    """Apply missing migrations and store missing built-in datasets; safe to repeat."""
    upgrade(get_settings().database_url.get_secret_value())
    for name in BUILTINS:
        try:
            with transaction() as db:
                ensure_builtin(db, name)
        except MissingExtra as missing:
            log.warning("built-in dataset left out", dataset=name, reason=str(missing))
