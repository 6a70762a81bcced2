"""Experiments as methods of the client: make, look, follow, extend, cancel, delete."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from services.client.calls import Caller, every, part
from services.client.errors import TimedOut
from services.client.experiment_views import (
    Experiment,
    ExperimentCurves,
    ExperimentPlan,
    ExperimentSummary,
)
from services.client.models import (
    Page,
)
from services.client.transport import Call, creating

POLL_S = 1.0


class ExperimentCalls(Caller):
    _sleep: Callable[[float], None]

    def create_experiment(
        self, spec: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Experiment:
        """Queue every arm with every seed; the same key and spec give the same experiment again."""
        call = creating("/v1/experiments", json=dict(spec), idempotency_key=idempotency_key)
        return Experiment.of(self._api.json(call))

    def plan_experiment(self, spec: Mapping[str, Any]) -> ExperimentPlan:
        """The arms and what they would cost; queues nothing."""
        params = {"dry_run": "true"}
        call = Call("POST", "/v1/experiments", params, json=dict(spec), is_repeatable=True)
        return ExperimentPlan.of(self._api.json(call))

    def experiment(self, experiment_id: str, *, metric: str | None = None) -> Experiment:
        """One experiment, ranked by `metric` or by its own."""
        path = f"/v1/experiments/{part(experiment_id)}"
        return self._get(Experiment, path, {"metric": metric})

    def experiments_page(
        self, *, limit: int | None = None, after: str | None = None
    ) -> Page[ExperimentSummary]:
        """One page, newest first, without leaderboards."""
        return self._page(ExperimentSummary, "/v1/experiments", {"limit": limit, "after": after})

    def experiments(self) -> Iterator[ExperimentSummary]:
        return every(self.experiments_page)

    def follow_experiment(
        self, experiment_id: str, *, timeout_s: float | None = None
    ) -> Iterator[Experiment]:
        """The experiment as it is now, then about once a second, until it has ended.

        Raises `TimedOut`, and leaves it running.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found = self.experiment(experiment_id)
            yield found
            if found.progress.ended == found.progress.total:
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise TimedOut(f"experiment {experiment_id} has not ended within {timeout_s:g} s")
            self._sleep(POLL_S)

    def extend_experiment(
        self, experiment_id: str, seeds: Sequence[int], *, idempotency_key: str | None = None
    ) -> Experiment:
        """Train every arm with more seeds."""
        call = creating(
            f"/v1/experiments/{part(experiment_id)}/seeds",
            json={"seeds": list(seeds)},
            idempotency_key=idempotency_key,
        )
        return Experiment.of(self._api.json(call))

    def cancel_experiment(self, experiment_id: str) -> Experiment:
        """Ask for the end of all its jobs."""
        path = f"/v1/experiments/{part(experiment_id)}/cancel"
        return Experiment.of(self._api.json(Call("POST", path)))

    def delete_experiment(self, experiment_id: str) -> None:
        """Forget an experiment that has ended; its jobs stay."""
        self._api.send(Call("DELETE", f"/v1/experiments/{part(experiment_id)}"))

    def experiment_curves(
        self,
        experiment_id: str,
        *,
        metric: str | None = None,
        band: Literal["range", "ci95"] | None = None,
        max_points: int | None = None,
    ) -> ExperimentCurves:
        """For each arm, the mean over its seeds by step, and a band around it."""
        params = {"metric": metric, "band": band, "max_points": max_points}
        path = f"/v1/experiments/{part(experiment_id)}/curves"
        return self._get(ExperimentCurves, path, params)
