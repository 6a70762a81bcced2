"""Jobs on their way to the service while it comes and goes; knows nothing of who disturbs it."""

import threading
import time
from collections.abc import Sequence

from benchmarks.chaos.specs import Spec
from services.client.client import UnrollClient
from services.client.errors import TimedOut, Unavailable, Unreachable

PATIENCE_S = 120.0
PAUSE_S = 0.2


class Sender(threading.Thread):
    """Submits one job after the other, and repeats what was not answered, under the same key."""

    def __init__(self, api_url: str, specs: Sequence[Spec], over_s: float, kind: str) -> None:
        super().__init__(name="sender", daemon=True)
        self.api_url, self.specs, self.kind = api_url, specs, kind
        self.every_s = over_s / max(1, len(specs))
        self.ids: list[str] = []  # as answered, in the order of the specs
        self.num_repeated = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with UnrollClient(self.api_url, max_retries=0, timeout_s=10) as client:
                for number, spec in enumerate(self.specs):
                    self.ids.append(self._submit(client, spec, f"{self.kind}-{number}"))
                    time.sleep(self.every_s)
        except Exception as error:
            self.error = error

    def finish(self) -> None:
        """Wait for the last answer; raises what kept the sender from getting it."""
        self.join()
        if self.error is not None:
            raise self.error

    def _submit(self, client: UnrollClient, spec: Spec, key: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        wanted = {**spec, "metadata": {"kind": self.kind}}
        while True:
            try:
                return client.submit(wanted, idempotency_key=key).id
            except (Unreachable, TimedOut, Unavailable):
                if time.monotonic() > deadline:
                    raise
                self.num_repeated += 1
                time.sleep(PAUSE_S)
