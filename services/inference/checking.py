"""Checks what was published without having been, whether or not somebody asks for it. Knows no HTTP."""

import threading

from services.inference.registry import load
from shared.db.engine import transaction
from shared.db.models import ModelStore
from shared.db.tables import ModelVersionRow
from shared.jobs.errors import FailedChecks
from shared.logging import get_logger

log = get_logger(__name__)
AT_ONCE = 20  # versions of one pass
STOP_S = 5.0


class Checker(threading.Thread):
    """Looks for pending checks until told to stop. What cannot be checked is left to who asks for it."""

    def __init__(self, every_s: float) -> None:
        super().__init__(name="checker", daemon=True)
        self.every_s = every_s
        self._stop_now = threading.Event()
        self._given_up: set[str] = set()

    def run(self) -> None:
        while not self._stop_now.wait(self.every_s):
            try:
                self.check_pending()
            except Exception as error:  # the database may be away; the next pass comes
                log.warning("pending checks were not looked for", error=str(error))

    def check_pending(self) -> None:
        """One pass; several replicas may find the same, and write down the same."""
        with transaction() as db:
            rows = ModelStore(db).pending(AT_ONCE, but=self._given_up)
        for row in rows:
            if self._stop_now.is_set():
                return
            self._check(row)

    def stop(self) -> None:
        self._stop_now.set()
        self.join(STOP_S)

    def _check(self, row: ModelVersionRow) -> None:
        told = {"model": row.name, "version": row.version}
        try:
            load(row)
        except FailedChecks as failed:
            log.warning("a version failed its checks", **told, reason=str(failed))
        except Exception:
            self._given_up.add(row.blob_id)
            log.exception("a version cannot be checked", **told)
        else:
            log.info("a version passed its checks", **told)
