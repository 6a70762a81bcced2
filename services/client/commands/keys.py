"""`unroll keys`: make, list and revoke keys in the database itself, so that a first one can be made."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from services.client.commands.exits import Code, CommandError
from services.client.commands.options import Json, with_state_dir
from services.client.commands.output import line, note, print_json, print_table
from services.client.config import ClientConfig
from shared.scopes import USUAL_SCOPES, KeyName, Scope

if TYPE_CHECKING:
    from shared.db.keys import KeyStore
    from shared.db.tables import ApiKeyRow

app = typer.Typer(help="Make, list and revoke the keys that open the services.")
SHOWN = ("id", "name", "prefix", "scopes", "state", "created_at", "expires_at", "last_used_at")
PAGE = 100
USUAL = ", ".join(USUAL_SCOPES)


@app.command()
@with_state_dir
def create(
    config: ClientConfig,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help=f"What it may do; may be repeated. Default: {USUAL}.")
    ] = None,
    expires_in_days: Annotated[
        float | None,
        typer.Option(min=0.001, max=36_500, help="Days until it ends. Default: never."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print its secret, which is shown this once."""
    lasts = timedelta(days=expires_in_days) if expires_in_days else None
    ends_at = datetime.now(UTC) + lasts if lasts else None
    _check_name(name)
    with _store(config) as store:
        row, secret = store.create(name, scope or USUAL_SCOPES, ends_at)
    if as_json:
        print_json({**_fields(row), "secret": secret})
        return
    line(secret)
    note(f"{row.id} may {', '.join(row.scopes)}. Keep the secret: it is not stored.")
    note("Put it into UNROLL_API_KEY for the command, or paste it where the dashboard asks for it.")


@app.command("list")
@with_state_dir
def list_(config: ClientConfig, as_json: Json = False) -> None:
    """List all keys, newest first, ended ones too; their secrets are not stored."""
    with _store(config) as store:
        rows = [_fields(row) for row in _all(store)]
    if as_json:
        print_json(rows)
        return
    print_table(SHOWN, ([row[name] for name in SHOWN] for row in rows))


@app.command()
@with_state_dir
def revoke(
    config: ClientConfig, key: Annotated[str, typer.Argument(help="Its id, as `list` has it.")]
) -> None:
    """Revoke a key for good; what it owns stays."""
    from shared.jobs.errors import KeyNotFound

    try:
        with _store(config) as store:
            store.revoke(key)
    except KeyNotFound as fault:
        message = f"There is no key {key!r}; `unroll keys list` lists what there is."
        raise CommandError(message, Code.NOT_FOUND) from fault
    note(f"Revoked {key}. Running services notice within five seconds.")


def _check_name(name: str) -> None:
    try:
        TypeAdapter(KeyName).validate_python(name)
    except ValidationError as fault:
        message = "A key's name has 1 to 100 characters, none of them a control character."
        raise CommandError(message, Code.INVALID) from fault


@contextmanager
def _store(config: ClientConfig) -> Iterator["KeyStore"]:
    """Keys of the database at UNROLL_DATABASE_URL, else of the stack on the state directory."""
    from services.embedded.record import read_record

    record = read_record(config.state_dir)
    if record is not None:
        os.environ.setdefault("UNROLL_DATABASE_URL", record.database_url)
    from sqlalchemy.exc import SQLAlchemyError

    from shared.db.engine import transaction
    from shared.db.keys import KeyStore

    try:
        with transaction() as db:
            yield KeyStore(db)
    except SQLAlchemyError as fault:
        message = (
            f"The database does not do this ({str(fault).splitlines()[0]}). Set "
            "UNROLL_DATABASE_URL, or --state-dir to that of a stack which runs; "
            "`unroll migrate` brings a database up to date."
        )
        raise CommandError(message, Code.UNREACHABLE) from fault


def _all(store: "KeyStore") -> Iterator["ApiKeyRow"]:
    page = store.page(None, PAGE)
    yield from page.rows
    while page.has_more:
        page = store.page(page.rows[-1].id, PAGE)
        yield from page.rows


def _fields(row: "ApiKeyRow") -> dict[str, Any]:
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    moments = {name: getattr(row, name) for name in times}
    return {
        "id": row.id,
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "state": _state(row),
        **{
            name: moment and moment.isoformat(timespec="seconds")
            for name, moment in moments.items()
        },
    }


def _state(row: "ApiKeyRow") -> str:
    if row.revoked_at is not None:
        return "revoked"
    has_ended = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
    return "expired" if has_ended else "valid"
