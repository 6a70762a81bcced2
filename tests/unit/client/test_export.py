"""Exports through the command and the client: what is asked for, and what lies in the file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.client.conftest import Result
from tests.unit.client.stub import Answer, Stub, error

Unroll = Callable[..., Result]


@pytest.mark.parametrize("format", ["onnx", "safetensors"])
@pytest.mark.parametrize(("which", "version"), [("names", "latest"), ("names@3", "3")])
def test_a_network_is_written_to_the_file(
    stub: Stub, unroll: Unroll, tmp_path: Path, format: str, which: str, version: str
) -> None:
    path = f"/v1/models/names/versions/{version}/export"
    stub.on("GET", path, Answer(200, b"\x08bytes", {"content-type": "application/octet-stream"}))
    file = tmp_path / "net"

    result = unroll("export", format, which, str(file))

    assert (result.code, result.out) == (0, f"{file}\n")
    assert file.read_bytes() == b"\x08bytes"
    assert stub.requests[0].query == {"format": [format]}


def test_a_refusal_leaves_no_file(stub: Stub, unroll: Unroll, tmp_path: Path) -> None:
    path = "/v1/models/names/versions/latest/export"
    stub.on("GET", path, error(422, "invalid_spec", "format: it writes sequences", param="format"))
    file = tmp_path / "net"

    result = unroll("export", "onnx", "names", str(file))

    assert result.code == 6
    assert "writes sequences" in result.err
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_a_usage_error(
    stub: Stub, unroll: Unroll, tmp_path: Path
) -> None:
    path = "/v1/models/names/versions/latest/export"
    stub.on("GET", path, Answer(200, b"bytes", {"content-type": "application/octet-stream"}))

    result = unroll("export", "onnx", "names", str(tmp_path / "no folder" / "net"))

    assert result.code == 2
    assert "No such file" in result.err
