"""How many threads a training gets on a CPU: the cores shared out, one where more would not help."""

import os

from shared.config import get_settings
from shared.cores import num_cores
from shared.jobs.spec import JobSpec

WORTH_SHARING = 32 * 512
"""Batch times hidden units from which two threads beat one (measured on torch's LSTM)."""


def threads_for(spec: JobSpec) -> int:
    """As the operator set, or by the size of a step's recurrent product in one process."""
    fixed, devices = get_settings().torch_threads, spec.resources.devices
    if fixed:
        return fixed
    if spec.training.batch_size * max(spec.network.layer_sizes) < WORTH_SHARING * devices:
        return 1
    beside = int(os.environ.get("UNROLL_CONCURRENCY", "1"))
    return max(1, num_cores() // (beside * devices))
