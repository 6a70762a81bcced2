"""The migrations and the tables of the code say the same."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from services.embedded.servers import Servers
from shared.db.migrate import is_current, newest_revision, upgrade
from shared.db.tables import Row
from tests.integration.seeding import settings
from tests.servers import fresh_database

TABLES = {table.name for table in Row.metadata.sorted_tables}


@pytest.fixture
def empty_url(servers: Servers) -> Iterator[str]:
    """A database without a table, which the settings point to."""
    with fresh_database(servers, "template1") as url, settings(database_url=url):
        yield url


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_url)
    yield engine
    engine.dispose()


def downgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, Row.metadata))


def constraints(engine: Engine) -> set[tuple[str, str, str]]:
    query = text(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text != 'alembic_version'"
    )
    with engine.connect() as connection:
        return {(row[0], row[1], row[2]) for row in connection.execute(query)}


def test_the_migrations_make_exactly_the_tables_of_the_code(
    engine: Engine, empty_url: str, servers: Servers
) -> None:
    upgrade(empty_url)

    assert set(inspect(engine).get_table_names()) == TABLES | {"alembic_version"}
    assert differences(engine) == []
    with fresh_database(servers, "template1") as other_url:
        other = create_engine(other_url)
        Row.metadata.create_all(other)
        expected = constraints(other)
        other.dispose()
    assert constraints(engine) == expected


def test_a_comparison_notices_a_column_that_is_missing(engine: Engine, empty_url: str) -> None:
    upgrade(empty_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs DROP COLUMN kernel"))

    assert [difference[0] for difference in differences(engine)] == ["add_column"]


def test_a_downgrade_leaves_an_empty_database_that_can_be_upgraded_again(
    engine: Engine, empty_url: str
) -> None:
    upgrade(empty_url)
    downgrade(engine)
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}

    upgrade(empty_url)
    assert differences(engine) == []


def test_a_database_is_current_only_at_the_newest_revision(engine: Engine, empty_url: str) -> None:
    assert not is_current()
    upgrade(empty_url)
    assert is_current()
    assert newest_revision() is not None


def test_an_upgrade_of_a_current_database_changes_nothing(engine: Engine, empty_url: str) -> None:
    upgrade(empty_url)
    upgrade(empty_url)

    assert differences(engine) == []


def test_several_processes_may_upgrade_at_once(engine: Engine, empty_url: str) -> None:
    command_line = [sys.executable, "-c", "from shared.db.migrate import upgrade; upgrade()"]
    environment = {**os.environ, "UNROLL_DATABASE_URL": empty_url}
    processes = [subprocess.Popen(command_line, env=environment) for _ in range(3)]

    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert differences(engine) == []


def test_large_values_are_stored_without_a_vain_try_to_compress_them(
    engine: Engine, empty_url: str
) -> None:
    upgrade(empty_url)
    query = text(
        "SELECT attstorage FROM pg_attribute"
        " WHERE attrelid = 'blob_chunks'::regclass AND attname = 'data'"
    )
    with engine.connect() as connection:
        assert connection.scalars(query).one() == "e"
