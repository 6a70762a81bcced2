"""What the operator chose, read from `UNROLL_*` environment variables; imports nothing of ours."""

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SOURCE = re.compile(
    r"https|https://[A-Za-z0-9.-]+(/[^,]*)?|s3|s3://[A-Za-z0-9._-]+(/[^,]*)?|file:///[^,]+"
)


class Settings(BaseSettings):
    """Every setting with its default; names, units and meaning as documented in docs/operating.md."""

    model_config = SettingsConfigDict(env_prefix="UNROLL_", frozen=True, extra="ignore")

    database_url: SecretStr = SecretStr("postgresql+psycopg://unroll@127.0.0.1:5432/unroll")
    """Postgres, as an SQLAlchemy URL."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Redis or Valkey: `redis://`, `rediss://` or `unix://`."""
    api_url: str = "http://127.0.0.1:8000"
    """Where clients find the API and the dashboard."""
    inference_url: str = "http://127.0.0.1:8001"
    """Where clients find the inference service."""
    inference_internal_url: str = ""
    """Where the dashboard finds it, when that is another address; empty = where clients do."""
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Comma-separated keys of the operator, beside those in the database."""

    max_body_bytes: Annotated[int, Field(ge=1024)] = 16 * 2**20
    """Largest JSON request body."""
    max_spec_bytes: Annotated[int, Field(ge=1024)] = 64 * 2**10
    """Largest job spec."""
    max_upload_bytes: Annotated[int, Field(ge=1024)] = 512 * 2**20
    """Largest dataset upload."""
    dataset_sources: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma-separated: `https`, `https://host`, `s3://bucket/folder`, `file:///folder`; empty = no URL."""
    dataset_fetch_s: Annotated[float, Field(gt=0)] = 300.0
    """Longest time to read one dataset from its URL."""
    rate_limit_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 100.0
    """Requests a second of one key, or of one address without a key; 0 = any number."""
    rate_limit_burst: Annotated[int, Field(ge=1)] = 500
    """Requests of one key at once, before the limit a second counts."""

    lease_s: Annotated[float, Field(gt=0)] = 30.0
    """How long a worker owns a job without a heartbeat; heartbeats come three times as often."""
    sweep_every_s: Annotated[float, Field(gt=0)] = 5.0
    """How often lost messages, expired leases and unchecked versions of models are looked for."""
    retry_base_s: Annotated[float, Field(ge=0)] = 2.0
    """Wait before the second try of a job whose worker or server failed; doubled for each later one."""
    retry_cap_s: Annotated[float, Field(ge=0)] = 60.0
    """Longest such wait."""
    max_running_jobs: Annotated[int, Field(ge=0)] = 0
    """Jobs of one key that train at once (of everybody, without keys); 0 = no limit."""
    max_queued_jobs: Annotated[int, Field(ge=0)] = 0
    """Jobs of one key that wait at once (of everybody, without keys); 0 = no limit."""
    max_experiment_jobs: Annotated[int, Field(ge=1)] = 200
    """Jobs of one experiment: its arms times its seeds."""
    torch_threads: Annotated[int, Field(ge=0)] = 0
    """Threads of one training process on a CPU; 0 = the cores shared out among the processes."""
    jobs_per_process: Annotated[int, Field(ge=1)] = 50
    """Jobs after which a training process is replaced, so that its memory comes back."""
    model_cache_bytes: Annotated[int, Field(ge=2**20)] = 2 * 2**30
    """Memory that loaded networks may take in one inference process."""
    max_predict_inputs: Annotated[int, Field(ge=1)] = 1024
    """Most inputs of one predict request."""
    max_predict_elements: Annotated[int, Field(ge=1)] = 2_000_000
    """Most numbers or symbols of one predict request, padding included."""
    max_trace_numbers: Annotated[int, Field(ge=1)] = 1_000_000
    """Most numbers of gates and states in one trace."""

    max_waiting_requests: Annotated[int, Field(ge=1)] = 512
    """Requests that may wait for a network in one inference process; more are refused with 503."""
    session_lifetime_s: Annotated[float, Field(ge=1, le=30 * 86_400)] = 3600.0
    """How long an inference session lives without a step."""
    max_sessions: Annotated[int, Field(ge=1)] = 10_000
    """Inference sessions alive at once, of all replicas together."""
    session_key: SecretStr | None = None
    """Signs exported session states; by default a key made once and kept in Postgres."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_json: bool = True
    """JSON lines; false = for people."""

    @field_validator("dataset_sources")
    @classmethod
    def _check_sources(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if not SOURCE.fullmatch(entry):
                raise ValueError(
                    f"{entry!r} is no source: use https, https://host, s3, s3://bucket/folder or file:///folder"
                )
        return entries

    @field_validator("api_keys", "dataset_sources", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value


class BadSetting(SystemExit):
    """An environment variable that cannot be what it is set to; ends the process with one line."""


@lru_cache
def get_settings() -> Settings:
    """The settings of this process.

    Raises:
        BadSetting: one cannot be read; its message names the variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"UNROLL_{str(fault['loc'][0]).upper()}"
        raise BadSetting(f"unroll: {name}: {fault['msg']}") from None


def is_loopback(host: str) -> bool:
    """Whether a bind address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
