"""From an exception to why a job failed, in words its owner can act on, and whose fault it was."""

import re
from collections.abc import Callable

import torch

from shared.jobs.errors import CorruptBlob, DatasetNotFound, ErrorClass, JobError
from shared.logging import get_logger
from workers.plan import JobFailed

log = get_logger(__name__)
LESS = "Use a smaller training.batch_size, network.hidden_size or training.tbptt_steps."
ASKED = re.compile(r"allocate (\d[\d.]* ?(?:[KMGT]iB|bytes))", re.IGNORECASE)
CPU_ALLOCATOR = "can't allocate memory"  # torch has no class of its own for this one


def explain(error: Exception, estimated_bytes: int) -> JobError:
    """Why a job failed; `estimated_bytes` is the memory that it was thought to need."""
    if isinstance(error, JobFailed):
        return error.error
    if is_out_of_memory(error):
        return _out_of_memory(error, estimated_bytes)
    for kind, say in BY_KIND.items():
        if isinstance(error, kind):
            return say(error)
    log.error("unexpected error in training", exc_info=error)
    message = f"{type(error).__name__}: {error} (the worker's log has the whole story)"
    return JobError("unexpected", ErrorClass.INFRA, message)


def is_out_of_memory(error: Exception) -> bool:
    """Memory of a card, of an array, or of the allocator of CPU tensors."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and CPU_ALLOCATOR in str(error)


def _out_of_memory(error: Exception, estimated_bytes: int) -> JobError:
    asked = ASKED.search(str(error))
    what = f"{_size_of(asked[1])} more than there was" if asked else "more than there was"
    message = (
        f"Memory ran out: training asked for {what} (the whole job was estimated at "
        f"{_mebibytes(estimated_bytes)}). {LESS} It is not tried again as it is."
    )
    details = {"asked": asked and asked[1], "estimated_bytes": estimated_bytes}
    return JobError("out_of_memory", ErrorClass.RESOURCE, message, details)


def _size_of(said: str) -> str:
    """Torch says bytes of a CPU tensor, and larger units of a card."""
    number, _, unit = said.partition(" ")
    return _mebibytes(int(number)) if unit == "bytes" else said


def _mebibytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.3g} MiB"


def _corrupt(error: Exception) -> JobError:
    message = f"{error} Submit the job again; if that fails as well, upload its dataset again."
    return JobError("corrupt_blob", ErrorClass.DATA, message)


def _gone(error: Exception) -> JobError:
    message = f"{error} It was deleted while the job waited; upload it and submit a new job."
    return JobError("dataset_gone", ErrorClass.DATA, message)


BY_KIND: dict[type[Exception], Callable[[Exception], JobError]] = {
    CorruptBlob: _corrupt,
    DatasetNotFound: _gone,
}
