"""Every exit code of the command, and which error ends with which."""

from enum import IntEnum

from services.client import errors


class Code(IntEnum):
    OK = 0  # done
    UNEXPECTED = 1  # a fault of ours or of a service; for `doctor`: a check failed
    USAGE = 2  # the command line, a variable or unroll.toml is wrong
    NOT_FOUND = 3  # no such job, dataset or model
    UNREACHABLE = 4  # no service answers
    REFUSED = 5  # the service or this machine does not allow it now: state, key, size, port
    INVALID = 6  # a spec, dataset or input has faults
    TIMED_OUT = 7  # what was waited for did not come in time
    JOB_FAILED = 10  # with --exit-status
    JOB_CANCELLED = 11  # with --exit-status


class CommandError(Exception):
    """A command cannot go on; the message says what to do."""

    def __init__(self, message: str, code: Code = Code.REFUSED) -> None:
        super().__init__(message)
        self.code = code


BY_ERROR: dict[type[errors.UnrollError], Code] = {
    errors.ConfigError: Code.USAGE,
    errors.Unreachable: Code.UNREACHABLE,
    errors.UnexpectedAnswer: Code.UNREACHABLE,
    errors.Unavailable: Code.UNREACHABLE,
    errors.TimedOut: Code.TIMED_OUT,
    errors.NotFound: Code.NOT_FOUND,
    errors.BadRequest: Code.INVALID,
    errors.Invalid: Code.INVALID,
}
BY_JOB_STATUS = {"failed": Code.JOB_FAILED, "cancelled": Code.JOB_CANCELLED}


def code_of(error: Exception) -> Code:
    """The exit code for an error that ended a command."""
    if isinstance(error, CommandError):
        return error.code
    for kind, code in BY_ERROR.items():
        if isinstance(error, kind):
            return code
    is_refusal = isinstance(error, errors.ApiError) and error.status < 500
    return Code.REFUSED if is_refusal else Code.UNEXPECTED
