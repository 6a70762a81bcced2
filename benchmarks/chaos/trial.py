"""From an empty state directory to what was found: the calm run, the storm, the end, the checks."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice

from benchmarks.chaos.findings import CALM, STORM, Finding, attempts, findings
from benchmarks.chaos.sending import Sender
from benchmarks.chaos.service import Service
from benchmarks.chaos.specs import NUM_SEEDS, Spec, distinct_specs
from benchmarks.chaos.storm import rage
from services.standalone import StandaloneOptions

SENT_OVER = 0.9  # of the storm, so that every blow meets somebody who submits


@dataclass(frozen=True)
class Trial:
    num_jobs: int = 200
    seconds: float = 90.0
    seed: int = 1  # decides which worker is struck, and how
    num_seeds: int = NUM_SEEDS  # of each recipe
    patience_s: float = 900.0  # for the end of the calm run, and of the storm's jobs


@dataclass
class Outcome:
    done: dict[str, int] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not any(finding.violations for finding in self.findings)

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.took_s[what] = time.monotonic() - began


def run(trial: Trial, options: StandaloneOptions) -> Outcome:
    """Everything on the state directory of `options`, which must be durable: a server that is
    killed keeps only what it was told to keep."""
    assert options.durable
    service, outcome, specs = (
        Service(options),
        Outcome(),
        distinct_specs(trial.num_seeds)[: trial.num_jobs],
    )
    with service.standalone:
        with outcome.timing("calm run"):
            _train_calmly(service, specs, trial.patience_s)
        jobs = list(islice(cycle(specs), trial.num_jobs))
        sender = Sender(service.standalone.api_url, jobs, SENT_OVER * trial.seconds, STORM)
        with outcome.timing("storm"):
            sender.start()
            rage(service, trial.seconds, random.Random(trial.seed))
        with outcome.timing("until the last job ended"):
            service.settle(lambda: not sender.is_alive(), trial.patience_s)
            sender.finish()
            service.settle(lambda: service.all_ended(STORM, len(jobs)), trial.patience_s)
        outcome.done = {"jobs": len(sender.ids), "submissions repeated": sender.num_repeated}
        outcome.done |= {**service.counts, **attempts(service)}
        outcome.findings = findings(service, sender.ids)
    return outcome


def _train_calmly(service: Service, specs: list[Spec], patience_s: float) -> None:
    sender = Sender(service.standalone.api_url, specs, 0.0, CALM)
    sender.start()
    sender.finish()
    assert service.settle(lambda: service.all_ended(CALM, len(specs)), patience_s)
    assert service.query(NOT_CALM, CALM) == [], "the calm run was none"


NOT_CALM = """
    SELECT id, status, attempt, error FROM jobs
    WHERE metadata->>'kind' = %s AND (status, attempt) != ('succeeded', 1)
"""
