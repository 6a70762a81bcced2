"""`unroll keys` on a database of its own, without a service."""

import json
import re
from pathlib import Path

import pytest

from services.client.cli import run
from shared.db.engine import transaction
from shared.db.keys import KeyStore, digest_of
from tests.conftest import forget_settings


def test_a_key_is_made_listed_and_revoked(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "create", "ops", "--scope", "admin"]) == 0
    secret = capsys.readouterr().out.strip()
    with transaction() as db:
        row = KeyStore(db).find(digest_of(secret))
    assert row is not None
    assert (row.name, row.scopes) == ("ops", ["admin"])

    assert run(["keys", "revoke", row.id]) == 0
    assert run(["keys", "list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["state"], listed["prefix"]) == (row.id, "revoked", secret[:13])
    assert secret not in json.dumps(listed)


def test_a_key_may_have_an_end_and_its_json_has_the_secret(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "create", "soon", "--expires-in-days", "2", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)

    assert re.fullmatch(r"unroll_[\w-]{43}", made["secret"])
    assert made["scopes"] == ["infer", "read", "submit"]
    assert made["expires_at"] > made["created_at"]


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines"], ids=["empty", "long", "control"])
def test_a_name_that_http_would_refuse_is_refused(
    database_url: str, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(["keys", "create", name]) == 6
    assert "1 to 100 characters" in capsys.readouterr().err
    with transaction() as db:
        assert not KeyStore(db).page(None, 1).rows


def test_an_unknown_key_and_a_database_that_is_away_are_said_in_words(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["keys", "revoke", "key_0"]) == 3
    monkeypatch.setenv("UNROLL_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    forget_settings()
    assert run(["keys", "list"]) == 4

    said = capsys.readouterr().err
    assert "unroll keys list" in said
    assert "UNROLL_DATABASE_URL" in said


def test_the_command_finds_the_stack_of_the_state_directory(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.client.commands import keys

    class Found:
        """What `unroll.json` says."""

        api_url = inference_url = "http://127.0.0.1:1"
        database_url = "postgresql+psycopg://nobody@127.0.0.1:1/none"

    monkeypatch.delenv("UNROLL_DATABASE_URL")
    monkeypatch.setattr("services.embedded.record.read_record", lambda path: Found)
    forget_settings()

    assert keys.app.info.help
    assert run(["keys", "list", "--state-dir", str(tmp_path)]) == 4
