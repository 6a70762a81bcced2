"""Bring a database to the newest schema; safe to run from several processes at once."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from shared.config import get_settings
from shared.db.engine import get_engine

LOCK = 727_000  # any number, the same in every process


def upgrade(database_url: str | None = None) -> None:
    """Apply what is missing, one process at a time."""
    url = database_url or get_settings().database_url.get_secret_value()
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def is_current() -> bool:
    """Whether the database has the schema that this code was written for."""
    with get_engine().connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found == newest_revision()


def newest_revision() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
