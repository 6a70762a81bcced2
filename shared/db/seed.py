"""From a built dataset to its row: uploads, and the built-in ones that need no upload."""

from hashlib import sha256
from typing import Any

from sqlalchemy.orm import Session

from shared.data.build import BuiltDataset
from shared.data.builtin import Builtin, MissingExtra, build_builtin, find_builtin
from shared.data.options import DatasetOptions
from shared.db.datasets import DatasetStore
from shared.db.tables import DatasetRow
from shared.db.viewer import BUILTIN, NO_OWNER, current_owner
from shared.jobs.errors import DatasetNotFound, InvalidSpec, NameTaken


def add_dataset(
    db: Session,
    built: BuiltDataset,
    *,
    name: str,
    source: str,
    format_name: str,
    options: DatasetOptions,
    num_bytes: int,
    digest: str,
    about: dict[str, Any],
) -> DatasetRow:
    """Store a built dataset under its name; what is built in belongs to nobody."""
    return DatasetStore(db).add(
        built.pieces(),
        name=name,
        owner=NO_OWNER if source == BUILTIN else current_owner(),
        source=source,
        format=format_name,
        sha256=digest,
        bytes=num_bytes,
        options=options.model_dump(mode="json"),
        encoding=built.encoding.model_dump(mode="json"),
        splits=built.splits,
        schema=built.schema,
        lengths=built.lengths,
        mappings=built.mappings,
        about={**about, "class_balance": built.class_balance},
        num_elements=built.num_elements,
        statistics=built.statistics,
        warnings=built.warnings,
    )


def ensure_builtin(db: Session, name: str) -> DatasetRow:
    """The built-in dataset of this name, stored at its first use.

    Raises:
        DatasetNotFound: nothing built in has the name.
        MissingExtra: its source library is not installed.
    """
    found = DatasetStore(db).find(name)
    if found is not None:
        return found
    builtin = find_builtin(name)
    if builtin is None:
        raise DatasetNotFound(name)
    return _store(db, builtin)


def find_dataset(db: Session, name_or_id: str, *, param: str | None = None) -> DatasetRow:
    """A stored dataset, or a built-in one that nobody used before.

    Raises:
        DatasetNotFound: there is none.
        InvalidSpec: it is built in, and its source library is not installed.
    """
    row = DatasetStore(db).find(name_or_id)
    if row is None and find_builtin(name_or_id) is not None:
        try:
            row = ensure_builtin(db, name_or_id)
        except MissingExtra as missing:
            raise InvalidSpec(str(missing), param=param) from missing
    if row is None:
        raise DatasetNotFound(name_or_id, param=param)
    return row


def _store(db: Session, builtin: Builtin) -> DatasetRow:
    built = build_builtin(builtin)
    arrow = built.arrow
    try:
        with db.begin_nested():
            return add_dataset(
                db,
                built,
                name=builtin.name,
                source=BUILTIN,
                format_name="builtin",
                options=builtin.options,
                num_bytes=len(arrow),
                digest=sha256(arrow).hexdigest(),
                about={
                    "title": builtin.title,
                    "row": builtin.row,
                    "source": builtin.source,
                    "licence": builtin.licence,
                },
            )
    except NameTaken:
        return DatasetStore(db).get(builtin.name)
