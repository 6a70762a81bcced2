"""The services' nouns and verbs as methods; how requests travel is the transport's business."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import httpx

from services.client.calls import every, model_path, part
from services.client.config import ClientConfig, load_config
from services.client.errors import (
    ApiError,
    BadRequest,
    ConfigError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TimedOut,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    UnrollError,
)
from services.client.events import EventStream
from services.client.experiment_views import (
    Experiment,
    ExperimentCurves,
    ExperimentPlan,
    ExperimentSummary,
)
from services.client.experiments import ExperimentCalls
from services.client.inference import InferenceCalls, Session
from services.client.keys import KeyCalls
from services.client.models import (
    Alias,
    Cell,
    Checkpoint,
    Dataset,
    DryRun,
    Event,
    Generated,
    Job,
    Key,
    Metrics,
    Model,
    ModelVersion,
    Page,
    Prediction,
    Queue,
    Readiness,
    SessionFacts,
    Trace,
    View,
    Worker,
)
from services.client.progress import ProgressCalls
from services.client.transport import Call, Transport, creating
from services.client.versions import VersionCalls

__all__ = [
    "Alias",
    "ApiError",
    "BadRequest",
    "Cell",
    "Checkpoint",
    "ClientConfig",
    "ConfigError",
    "Conflict",
    "Dataset",
    "DryRun",
    "Event",
    "Experiment",
    "ExperimentCurves",
    "ExperimentPlan",
    "ExperimentSummary",
    "Forbidden",
    "Generated",
    "Invalid",
    "Job",
    "Key",
    "Metrics",
    "Model",
    "ModelVersion",
    "NotFound",
    "Page",
    "Prediction",
    "Queue",
    "Readiness",
    "Session",
    "SessionFacts",
    "TimedOut",
    "TooLarge",
    "TooManyRequests",
    "Trace",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "UnrollClient",
    "UnrollError",
    "View",
    "Worker",
    "load_config",
]

MAX_RETRIES = 3
UPLOAD_READ_S = 600.0  # the whole file is read and encoded before the answer
FIRST_POLL_S, LONGEST_POLL_S = 0.2, 2.0


class UnrollClient(ProgressCalls, KeyCalls, VersionCalls, ExperimentCalls, InferenceCalls):
    """Both services, by their URLs; without arguments, those that `load_config` finds.

    Close it, or use it as a context manager. Every method may raise `ApiError` (one subclass for each
    status), `Unreachable`, `TimedOut` and `UnexpectedAnswer`. Requests that are safe to repeat are
    repeated up to `max_retries` times when the connection breaks or the service answers 429 or 503.
    """

    def __init__(
        self,
        api_url: str | None = None,
        *,
        inference_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float | None = None,
        max_retries: int = MAX_RETRIES,
        config: ClientConfig | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises `ConfigError`. `transport` and `sleep` replace the network and the clock."""
        given = {"api_url": api_url, "inference_url": inference_url}
        self.config = config or load_config({**given, "api_key": api_key, "timeout_s": timeout_s})
        key = self.config.api_key
        self._sleep = sleep
        self._api, self._inference = (
            Transport(
                url,
                api_key=key.get_secret_value() if key else None,
                timeout_s=self.config.timeout_s,
                max_retries=max_retries,
                transport=transport,
                sleep=sleep,
            )
            for url in (self.config.api_url, self.config.inference_url)
        )

    def close(self) -> None:
        self._api.close()
        self._inference.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Jobs

    def submit(self, spec: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Queue a job; the same key and spec give the same job again."""
        call = creating("/v1/jobs", json=dict(spec), idempotency_key=idempotency_key)
        return Job.of(self._api.json(call))

    def dry_run(self, spec: Mapping[str, Any]) -> DryRun:
        """The resolved spec and what it would cost; queues nothing."""
        params = {"dry_run": "true"}
        call = Call("POST", "/v1/jobs", params=params, json=dict(spec), is_repeatable=True)
        return DryRun.of(self._api.json(call))

    def job(self, job_id: str) -> Job:
        return self._get(Job, f"/v1/jobs/{part(job_id)}")

    def jobs_page(
        self,
        *,
        status: Sequence[str] = (),
        dataset: str | None = None,
        cell: str | None = None,
        name_contains: str | None = None,
        metadata: Mapping[str, str] | None = None,
        experiment: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page[Job]:
        """One page, newest first; no `status` = every status."""
        params: dict[str, Any] = {"status": list(status), "dataset": dataset, "cell": cell}
        params |= {"name_contains": name_contains, "limit": limit, "after": after}
        params |= {"experiment": experiment}
        params |= {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
        return self._page(Job, "/v1/jobs", params)

    def jobs(self, **filters: Any) -> Iterator[Job]:
        """Every job that passes the filters of `jobs_page`, newest first."""
        return every(self.jobs_page, **filters)

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job; it keeps its last checkpoint."""
        return Job.of(self._api.json(Call("POST", f"/v1/jobs/{part(job_id)}/cancel")))

    def pause(self, job_id: str) -> Job:
        """Ask a job to save and to give its worker back; a waiting one waits on."""
        return Job.of(self._api.json(Call("POST", f"/v1/jobs/{part(job_id)}/pause")))

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again; it goes on exactly where it stopped."""
        return Job.of(self._api.json(Call("POST", f"/v1/jobs/{part(job_id)}/resume")))

    def retry(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again, from its last checkpoint, with all its attempts."""
        return Job.of(self._api.json(Call("POST", f"/v1/jobs/{part(job_id)}/retry")))

    def change_job(self, job_id: str, **changes: Any) -> Job:
        """Set `priority`, `name` or `metadata`; what is left out stays."""
        call = Call("PATCH", f"/v1/jobs/{part(job_id)}", json=changes, is_repeatable=True)
        return Job.of(self._api.json(call))

    def delete_job(self, job_id: str) -> None:
        """Delete a job that has ended."""
        self._api.send(Call("DELETE", f"/v1/jobs/{part(job_id)}"))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> Job:
        """The job once it has ended, however it ended; raises `TimedOut`, and leaves it running."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = FIRST_POLL_S
        while not (job := self.job(job_id)).is_final:
            remaining_s = LONGEST_POLL_S if deadline is None else deadline - time.monotonic()
            if remaining_s <= 0:
                raise TimedOut(f"job {job_id} is still {job.status} after {timeout_s:g} s")
            self._sleep(min(pause_s, remaining_s))
            pause_s = min(2 * pause_s, LONGEST_POLL_S)
        return job

    def events_page(
        self, job_id: str, *, after: str | None = None, limit: int | None = None
    ) -> Page[Event]:
        """One page of a job's events, oldest first."""
        path = f"/v1/jobs/{part(job_id)}/events"
        return self._page(Event, path, {"after": after, "limit": limit})

    def stream(self, job_id: str, *, last_event_id: str | None = None) -> Iterator[Event]:
        """The events of a job as they happen, from the first, until the job has ended."""
        ended = partial(self._has_ended, job_id)
        stream = EventStream(self._api, part(job_id), ended, last_event_id)
        return iter(stream)

    def _has_ended(self, job_id: str) -> bool:
        """Whether nothing more will happen; a job that is gone has ended."""
        try:
            return self.job(job_id).is_final
        except NotFound:
            return True

    # Datasets

    def datasets_page(self, *, limit: int | None = None, after: str | None = None) -> Page[Dataset]:
        return self._page(Dataset, "/v1/datasets", {"limit": limit, "after": after})

    def datasets(self) -> Iterator[Dataset]:
        return every(self.datasets_page)

    def dataset(self, name: str) -> Dataset:
        """By name or id."""
        return self._get(Dataset, f"/v1/datasets/{part(name)}")

    def preview(
        self, name: str, *, split: str = "train", limit: int | None = None
    ) -> dict[str, Any]:
        """The first records of a split, as they were sent: `{"data": [{"input", "target"}, ..]}`."""
        params = {"split": split, "limit": limit}
        return self._get(View, f"/v1/datasets/{part(name)}/preview", params).raw

    def upload(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        format: str = "auto",
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """Send a file, streamed, and have it read into a dataset (default name: the file's stem)."""
        form = {"name": name or Path(path).stem, "format": format}
        form["options"] = json.dumps(options or {}, allow_nan=False)
        read_s = max(self.config.timeout_s, UPLOAD_READ_S)
        with Path(path).open("rb") as file:
            call = creating(
                "/v1/datasets",
                form=form,
                file=file,
                read_timeout_s=read_s,
                idempotency_key=idempotency_key,
            )
            return Dataset.of(self._api.json(call))

    def add_url(
        self,
        url: str,
        *,
        name: str | None = None,
        format: str = "auto",
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """Have the service read a file from a URL that its operator allows (default name: as above)."""
        chosen = name or PurePosixPath(unquote(urlsplit(url).path)).stem
        body = {"url": url, "name": chosen, "format": format, "options": dict(options or {})}
        read_s = max(self.config.timeout_s, UPLOAD_READ_S)
        call = creating(
            "/v1/datasets", json=body, read_timeout_s=read_s, idempotency_key=idempotency_key
        )
        return Dataset.of(self._api.json(call))

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset that no waiting or running job needs."""
        self._api.send(Call("DELETE", f"/v1/datasets/{part(name)}"))

    # Models and inference

    def models_page(self, *, limit: int | None = None, after: str | None = None) -> Page[Model]:
        return self._page(Model, "/v1/models", {"limit": limit, "after": after})

    def models(self) -> Iterator[Model]:
        return every(self.models_page)

    def model(self, name: str) -> Model:
        return self._get(Model, f"/v1/models/{part(name)}")

    def predict(
        self,
        name: str,
        inputs: Sequence[Any],
        *,
        version: str | int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """Outputs for inputs as the dataset has them; `version` is a number or an alias."""
        body: dict[str, Any] = {"inputs": list(inputs)}
        if options:
            body["options"] = dict(options)
        call = Call("POST", f"{model_path(name, version)}/predict", json=body, is_repeatable=True)
        return Prediction.of(self._inference.json(call))

    # What there is

    def cells(self) -> Page[Cell]:
        """Every cell with its options, equation and number of parameters."""
        return self._page(Cell, "/v1/cells", {})

    def workers(self) -> Page[Worker]:
        return self._page(Worker, "/v1/workers", {})

    def queue(self) -> Queue:
        return self._get(Queue, "/v1/queue")

    def readiness(self, service: Literal["api", "inference"] = "api") -> Readiness:
        """What `/readyz` of "api" or "inference" says, ready or not; asked once."""
        transport = {"api": self._api, "inference": self._inference}[service]
        return Readiness.of(transport.look("/readyz"))
