"""From an uploaded file to a stored dataset, or to a list of its faults and nothing stored."""

from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from pydantic import ValidationError
from sqlalchemy.orm import Session

from services.api.views import dataset_view
from shared.data.build import BuiltDataset
from shared.data.builtin import find_builtin
from shared.data.options import DatasetOptions
from shared.data.readers import build_from_file, detect_format
from shared.data.records import Fault, InvalidDataset
from shared.db.datasets import DatasetStore, name_taken
from shared.db.engine import transaction
from shared.db.idempotency import IdempotencyStore
from shared.db.seed import add_dataset
from shared.jobs.errors import InvalidSpec, InvalidUpload, NameTaken
from shared.jobs.wording import said

HEAD_BYTES = 64 * 1024
RESERVED = "ds_"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came, and what its sender says of it."""

    file: BinaryIO
    filename: str
    name: str
    format: str
    options: DatasetOptions
    about: dict[str, Any] = field(default_factory=dict)
    """Where it comes from, if not from the sender."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A dataset as JSON, and whether it was there before."""

    dataset: dict[str, Any]
    is_new: bool = True


def store_upload(upload: Upload, owner: str, key: str | None) -> Answer:
    """The new dataset, the owner's one of the same bytes and options, or the first answer to a key.

    Raises:
        InvalidUpload: the file has faults; all found ones are in `details`.
        IdempotencyMismatch: the Idempotency-Key came with another upload before.
        NameTaken: another dataset has the name.
    """
    digest = file_digest(cast("SpooledTemporaryFile[bytes]", upload.file), "sha256").hexdigest()
    num_bytes = upload.file.tell()
    _check_name(upload.name)
    try:
        format_name = upload.format if upload.format != "auto" else _detect(upload)
        kept = _Kept(upload, owner, key, digest, format_name)
        with transaction() as db:
            answer = kept.find(db)
        if answer is not None:
            return answer
        upload.file.seek(0)
        built = build_from_file(upload.file, format_name, upload.options)
    except InvalidDataset as error:
        raise _refused(error) from error
    with transaction() as db:
        return kept.find(db, alone=True) or kept.add(db, built, num_bytes)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is in the database of an upload: the answer to its key, and datasets like it."""

    upload: Upload
    owner: str
    key: str | None
    digest: str
    format: str

    def find(self, db: Session, *, alone: bool = False) -> Answer | None:
        """The answer that there is already; `alone`: no equal upload is stored meanwhile."""
        store = DatasetStore(db)
        if alone:
            store.queue_up(self.digest)
        if self.key and (first := self._answers(db).find()) is not None:
            return Answer(first)
        same = store.same(self.digest, self.format, self.upload.options.model_dump(mode="json"))
        if same is not None:
            return Answer(dataset_view(same).model_dump(mode="json"), is_new=False)
        if store.find_own(self.upload.name) is not None:
            raise name_taken(self.upload.name)
        return None

    def add(self, db: Session, built: BuiltDataset, num_bytes: int) -> Answer:
        if self.key and (first := self._answers(db).reserve()) is not None:
            return Answer(first)
        row = add_dataset(
            db,
            built,
            name=self.upload.name,
            source="upload",
            format_name=self.format,
            options=self.upload.options,
            num_bytes=num_bytes,
            digest=self.digest,
            about=self.upload.about,
        )
        view = dataset_view(row).model_dump(mode="json")
        if self.key:
            self._answers(db).keep(view)
        return Answer(view)

    def _answers(self, db: Session) -> IdempotencyStore:
        upload, key = self.upload, self.key or ""
        body = "\n".join(
            (self.digest, upload.name, upload.format, upload.options.model_dump_json())
        )
        return IdempotencyStore(
            db, self.owner, "/v1/datasets", key, sha256(body.encode()).hexdigest()
        )


def _check_name(name: str) -> None:
    if name.startswith(RESERVED):
        raise InvalidSpec("Names that start with 'ds_' are kept for ids.", param="name")
    if find_builtin(name) is not None:
        raise NameTaken(
            f"{name!r} is the name of a built-in dataset; choose another.", param="name"
        )


def parse_options(text: str) -> DatasetOptions:
    """The options of a form; raises InvalidSpec with every fault."""
    try:
        return DatasetOptions.model_validate_json(text)
    except ValidationError as error:
        details: list[dict[str, object]] = [
            {"param": ".".join(["options", *map(str, fault["loc"])]), "message": said(fault)}
            for fault in error.errors()
        ]
        param = str(details[0]["param"])
        message = f"{param}: {details[0]['message']}"
        raise InvalidSpec(message, param=param, details=details) from error


def _detect(upload: Upload) -> str:
    upload.file.seek(0)
    return detect_format(upload.filename, upload.file.read(HEAD_BYTES))


def _refused(error: InvalidDataset) -> InvalidUpload:
    details: list[dict[str, object]] = [
        {
            "where": fault.where,
            "field": fault.field,
            "message": fault.message,
            "param": _param_of(fault),
        }
        for fault in error.faults
    ]
    return InvalidUpload(str(error), param=_param_of(error.faults[0]), details=details)


def _param_of(fault: Fault) -> str:
    """Which part of the form a fault lies in."""
    if fault.where == "options":
        return f"options.{fault.field}"
    return "format" if fault.field == "format" else "file"
