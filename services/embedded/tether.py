"""A script that drops its privileges, ties itself to its parent's life and becomes a command.

Run by path with `python -I -S`, so it imports nothing of ours. It is a process of its own because a
`preexec_fn` is unsafe once the supervisor has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)
IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ", "SIGINT")  # or by a shell that started us with `&`


def drop_privileges(uid: int, gid: int) -> None:
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def tie_to_parent(parent: int, death_signal: int) -> None:
    """Linux sends us `death_signal` when the parent ends; elsewhere the next start cleans up.

    Comes after `drop_privileges`: a change of credentials clears the setting.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the supervisor ended before this process was tied to it")


def main(parent: str, death_signal: str, uid: str, gid: str, *command: str) -> None:
    drop_privileges(int(uid), int(gid))
    tie_to_parent(int(parent), int(death_signal))
    os.umask(0o077)
    for name in IGNORED_BY_PYTHON:
        signal.signal(signal.Signals[name], signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 -- a shell is what we do without


if __name__ == "__main__":
    main(*sys.argv[1:])
