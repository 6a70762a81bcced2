"""A dump restored into another server serves what the first one served."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.embedded.binaries import postgres_programs
from services.embedded.servers import Servers
from services.inference.predictor import predict
from services.inference.registry import Registry
from shared.db.migrate import is_current
from tests.integration.inference.publishing import INPUTS, publish
from tests.integration.seeding import count_rows, settings
from tests.servers import (
    fresh_database,
    libpq_url,
    make_template,
    state_directory,
)


@pytest.fixture
def other_servers() -> Iterator[Servers]:
    """A second Postgres, with nothing in it."""
    with state_directory() as path, Servers(path, durable=False, valkey=False) as servers:
        yield servers


def run(servers: Servers, program: str, *options: str) -> None:
    subprocess.run(
        [str(postgres_programs(servers.state.account()) / program), *options],
        check=True,
        timeout=60,
    )


def outputs() -> list[dict[str, Any]]:
    """Of a network loaded anew."""
    return predict(Registry(2**30).get("net"), [INPUTS["tags"]])


def test_a_dump_restored_into_an_empty_server_and_into_a_migrated_one_predicts_the_same(
    servers: Servers, database_url: str, other_servers: Servers, tmp_path: Path
) -> None:
    publish("net", "tags")
    expected, rows = outputs(), count_rows()
    dump = str(tmp_path / "unroll.dump")
    run(servers, "pg_dump", "--format=custom", f"--file={dump}", libpq_url(database_url))
    make_template(other_servers)

    for template in ("template0", "template_unroll"):
        with fresh_database(other_servers, template) as url, settings(database_url=url):
            into = ("--no-owner", "--clean", "--if-exists", f"--dbname={libpq_url(url)}")
            run(servers, "pg_restore", *into, "--exit-on-error", dump)

            assert is_current()
            assert count_rows() == rows
            assert outputs() == expected
