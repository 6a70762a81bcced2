"""What a job has to tell beside its events: curves and checkpoints, shown or saved to a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from services.client.calls import Caller, part
from services.client.models import Checkpoint, Metrics, Page


class ProgressCalls(Caller):
    def metrics(
        self, job_id: str, names: Sequence[str] = (), *, max_points: int | None = None
    ) -> Metrics:
        """Curves by name, down-sampled to `max_points` each; no names = all of them."""
        params = {"names": ",".join(names) or None, "max_points": max_points}
        return self._get(Metrics, f"/v1/jobs/{part(job_id)}/metrics", params)

    def download_metrics(
        self,
        job_id: str,
        path: str | Path,
        names: Sequence[str] = (),
        *,
        format: Literal["csv", "tfevents"] = "csv",
    ) -> None:
        """Write every point of the curves as CSV, or as an event file for TensorBoard."""
        route = f"/v1/jobs/{part(job_id)}/metrics.{format}"
        self._save(route, path, {"names": ",".join(names) or None})

    def checkpoints(self, job_id: str) -> Page[Checkpoint]:
        """What was kept, newest first."""
        return self._page(Checkpoint, f"/v1/jobs/{part(job_id)}/checkpoints", {})

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        return self._get(Checkpoint, f"/v1/checkpoints/{part(checkpoint_id)}")

    def download_checkpoint(self, checkpoint_id: str, path: str | Path) -> None:
        """Write the safetensors file, a chunk at a time."""
        self._save(f"/v1/checkpoints/{part(checkpoint_id)}/download", path)
