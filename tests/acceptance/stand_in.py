"""Stands in for a service or a worker, so that only the supervisor is on trial; imports nothing of ours.

Run as `stand_in.py ROLE ARGUMENT...`; the functions are the roles.
"""

import http.server
import os
import signal
import subprocess
import sys
from pathlib import Path


class Ready(http.server.BaseHTTPRequestHandler):
    """200 for every path, and the servers that the supervisor named."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        servers = (os.environ["UNROLL_DATABASE_URL"], os.environ["UNROLL_REDIS_URL"])
        self.wfile.write("\n".join(servers).encode())


def serve(port: str) -> None:
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Ready).serve_forever()


def wait() -> None:
    signal.pause()


def wait_with_a_child(pid_file: str) -> None:
    child = subprocess.Popen(["/bin/sleep", "600"])
    Path(pid_file).write_text(str(child.pid))
    signal.pause()


def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


def wait_unless(marker: str) -> None:
    if Path(marker).exists():
        fail("the marker is there")
    signal.pause()


def touch(marker: str) -> None:
    Path(marker).touch()


def fail(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.exit(3)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
