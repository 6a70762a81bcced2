"""From an uploaded file to a stored dataset, or to a list of its faults and nothing stored."""

from dataclasses import dataclass
from hashlib import file_digest, sha256
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from pydantic import ValidationError

from services.api.views import dataset_view
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
    options: str


def store_upload(upload: Upload, owner: str, key: str | None) -> dict[str, Any]:
    """The new dataset as JSON, or the first answer to the same Idempotency-Key.

    Raises:
        InvalidUpload: the file has faults; all found ones are in `details`.
        InvalidSpec: the options do.
        NameTaken: another dataset has the name.
    """
    options = _parse_options(upload.options)
    digest = file_digest(cast("SpooledTemporaryFile[bytes]", upload.file), "sha256").hexdigest()
    num_bytes = upload.file.tell()
    _check_name(upload.name, digest, key)
    try:
        format_name = upload.format if upload.format != "auto" else _detect(upload)
        upload.file.seek(0)
        built = build_from_file(upload.file, format_name, options)
    except InvalidDataset as error:
        raise _refused(error) from error
    with transaction() as db:
        body = sha256(f"{digest}\0{upload.name}\0{upload.format}\0{upload.options}".encode())
        store = IdempotencyStore(db, owner, "/v1/datasets", key or "", body.hexdigest())
        answer = store.reserve() if key else None
        if answer is not None:
            return answer
        row = add_dataset(
            db,
            built,
            name=upload.name,
            source="upload",
            format_name=format_name,
            options=options,
            num_bytes=num_bytes,
            digest=digest,
            about={},
        )
        answer = dataset_view(row).model_dump(mode="json")
        if key:
            store.keep(answer)
    return answer


def _check_name(name: str, digest: str, key: str | None) -> None:
    """Refuse a taken name before any work, unless this may be the repetition of a request."""
    if name.startswith(RESERVED):
        raise InvalidSpec("Names that start with 'ds_' are kept for ids.", param="name")
    if find_builtin(name) is not None:
        raise NameTaken(
            f"{name!r} is the name of a built-in dataset; choose another.", param="name"
        )
    with transaction() as db:
        found = DatasetStore(db).find(name)
    if found is not None and not (key and found.sha256 == digest):
        raise name_taken(name)


def _parse_options(text: str) -> DatasetOptions:
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
