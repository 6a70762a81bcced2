"""Versions of models as methods: publish, point aliases, delete, look inside, export."""

from pathlib import Path
from typing import Any, Literal

from services.client.calls import Caller, model_path, part
from services.client.models import Alias, ModelVersion, Trace
from services.client.transport import Call, creating

LATEST = "latest"


class VersionCalls(Caller):
    def publish(
        self, name: str, checkpoint_id: str, *, idempotency_key: str | None = None
    ) -> ModelVersion:
        """Make a checkpoint the next version of a model, also one of a job that still runs.

        Its `checks` are pending until inference has made them, some seconds later.
        """
        call = creating(
            f"/v1/models/{part(name)}/versions",
            json={"checkpoint_id": checkpoint_id},
            idempotency_key=idempotency_key,
        )
        return ModelVersion.of(self._api.json(call))

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version that no alias points to; with the last one goes the model."""
        self._api.send(Call("DELETE", f"/v1/models/{part(name)}/versions/{version}"))

    def set_alias(self, name: str, alias: str, version: int) -> Alias:
        """Point an alias to a version; `predict(name, .., version=alias)` uses it from now on."""
        path = f"/v1/models/{part(name)}/aliases/{part(alias)}"
        call = Call("PUT", path, json={"version": version}, is_repeatable=True)
        return Alias.of(self._api.json(call))

    def delete_alias(self, name: str, alias: str) -> None:
        """Delete an alias; its version stays."""
        self._api.send(Call("DELETE", f"/v1/models/{part(name)}/aliases/{part(alias)}"))

    def trace(
        self,
        name: str,
        input: Any,
        *,
        version: str | int | None = None,
        max_length: int | None = None,
    ) -> Trace:
        """Gates and states of every layer, direction and step for one input.

        `max_length` bounds what a model that writes sequences may write.
        """
        body = {"input": input} | ({} if max_length is None else {"max_length": max_length})
        path = f"{model_path(name, version)}/trace"
        return Trace.of(self._inference.json(Call("POST", path, json=body, is_repeatable=True)))

    def export(
        self,
        name: str,
        path: str | Path,
        *,
        format: Literal["onnx", "safetensors"] = "onnx",
        version: str | int | None = None,
    ) -> None:
        """Write a network to a file: "onnx", or "safetensors" for its weights and specs."""
        chosen = part(str(LATEST if version is None else version))
        where = f"/v1/models/{part(name)}/versions/{chosen}/export"
        self._save(where, path, {"format": format}, self._inference)
