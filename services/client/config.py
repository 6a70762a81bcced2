"""Where the services are, from flags, `UNROLL_*` variables, `unroll.toml` or defaults; sends nothing."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from services.client.errors import ConfigError

FILE = "unroll.toml"
DEFAULT_API_URL = "http://127.0.0.1:8000"
INFERENCE_PORT = 8001  # of the API's host, unless told otherwise
Layer = tuple[str, Mapping[str, object]]
"""What a place says, and how to call the place in a message."""


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_port(parts):
        raise ValueError(f"{value!r} is no URL; write it like {DEFAULT_API_URL}")
    return value.rstrip("/")


def _has_port(parts: SplitResult) -> bool:
    """Whether the port can be one; none at all can, as the scheme gives it."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _header_text(key: SecretStr) -> SecretStr:
    value = key.get_secret_value()
    if not (value.isascii() and value.isprintable() and value.strip() == value != ""):
        raise ValueError("a key is printable ASCII without spaces at its ends")
    return key


Url = Annotated[str, AfterValidator(_http_url)]


class ClientConfig(BaseModel):
    """What a client needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_url: Url = DEFAULT_API_URL
    """The API and the dashboard."""
    inference_url: Url = f"http://127.0.0.1:{INFERENCE_PORT}"
    """The inference service; by default port 8001 of the API's host."""
    api_key: Annotated[SecretStr, AfterValidator(_header_text)] | None = None
    """Sent as `Authorization: Bearer`."""
    state_dir: Path = Path(".unroll")
    """Where `unroll up` keeps its data; also where a running stack is found."""
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    """How long to wait for one answer."""


KEYS = tuple(ClientConfig.model_fields)


def load_config(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> ClientConfig:
    """Flags before `UNROLL_*` before `./unroll.toml` before a running stack before defaults.

    Raises:
        ConfigError: a value does not fit, or `unroll.toml` has an unknown key.
    """
    directory = (directory or Path.cwd()).absolute()
    layers = (
        ("flag", flags or {}),
        ("environment", _from_environment(os.environ if environ is None else environ)),
        (FILE, _from_file(directory / FILE)),
    )
    chosen, origins = _merge(layers)
    config = _validate(chosen, origins)
    config = config.model_copy(update={"state_dir": directory / config.state_dir.expanduser()})
    return config.model_copy(update=_missing_urls(config))


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    names = {key: f"UNROLL_{key.upper()}" for key in KEYS}
    return {key: environ[name] for key, name in names.items() if environ.get(name)}


def _from_file(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path} is not TOML: {fault}") from fault
    for key in found:
        if key not in KEYS:
            raise ConfigError(f"{path}: unknown key {key!r}; known keys: {', '.join(KEYS)}")
    return found


def _merge(layers: tuple[Layer, ...]) -> tuple[dict[str, object], dict[str, str]]:
    chosen: dict[str, object] = {}
    origins: dict[str, str] = {}
    for origin, values in reversed(layers):
        given = {key: value for key, value in values.items() if value is not None}
        chosen |= given
        origins |= dict.fromkeys(given, origin)
    return chosen, origins


def _validate(chosen: dict[str, Any], origins: dict[str, str]) -> ClientConfig:
    try:
        return ClientConfig(**chosen)
    except ValidationError as invalid:
        fault = invalid.errors()[0]
        key = str(fault["loc"][0])
        reason = fault["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{_name(key, origins[key])}: {reason}") from invalid


def _name(key: str, origin: str) -> str:
    names = {"flag": f"--{key.replace('_', '-')}", "environment": f"UNROLL_{key.upper()}"}
    return names.get(origin, f"{origin}: {key}")


def _missing_urls(config: ClientConfig) -> dict[str, str]:
    """URLs nobody chose: those of the stack that runs on the state directory, else defaults."""
    missing = {"api_url", "inference_url"} - config.model_fields_set
    return dict(_urls(config, missing)) if missing else {}


def _urls(config: ClientConfig, missing: set[str]) -> Iterator[tuple[str, str]]:
    running = _running_urls(config.state_dir)
    api_url = config.api_url
    if "api_url" in missing and running:
        api_url = running["api_url"]
        yield "api_url", api_url
    if "inference_url" in missing:
        is_ours = running is not None and running["api_url"] == api_url
        yield "inference_url", running["inference_url"] if running and is_ours else _beside(api_url)


def _running_urls(state_dir: Path) -> dict[str, str] | None:
    from services.embedded.record import read_record

    try:
        record = read_record(state_dir)
    except PermissionError as fault:
        raise ConfigError(
            f"cannot read {state_dir}, which belongs to someone else; say where the services are "
            "with --api-url and --inference-url, or name another directory with --state-dir"
        ) from fault
    if record is None:
        return None
    return {"api_url": record.api_url, "inference_url": record.inference_url}


def _beside(api_url: str) -> str:
    parts = urlsplit(api_url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{INFERENCE_PORT}"
