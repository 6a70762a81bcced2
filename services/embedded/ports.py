"""Whether the ports that were asked for can be bound, and the URLs they make; binds nothing for long."""

import errno
import socket
from collections.abc import Mapping
from contextlib import ExitStack

REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- any address, seen from this machine


class PortInUse(RuntimeError):
    """A port is taken; the message names the option that chooses another."""


class AddressUnusable(RuntimeError):
    """The host and port cannot be bound at all."""


def check_ports(host: str, ports: Mapping[str, int]) -> None:
    """Check that all ports, by the option that sets them, are free at once.

    Raises `PortInUse`, `AddressUnusable`.
    """
    with ExitStack() as open_sockets:
        for option, port in ports.items():
            open_sockets.enter_context(_bind(host, port, option))


def url_of(host: str, port: int) -> str:
    """Where a service bound to `host` is found from this machine."""
    reached = REACHED_AT.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _bind(host: str, port: int, option: str) -> socket.socket:
    try:
        return _bound_socket(host, port)
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {host} is taken; choose another with {option}"
            ) from fault
        raise AddressUnusable(
            f"cannot bind {host}:{port} ({fault.strerror}); choose another with --host or {option}"
        ) from fault


def _bound_socket(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    probe = socket.socket(family, kind, protocol)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do
        probe.bind(address)
        probe.listen()  # else Linux would let a second probe bind it too
    except OSError:
        probe.close()
        raise
    return probe
