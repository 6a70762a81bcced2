"""Gets one file over HTTPS from a public address, and from no other. Knows no datasets."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Timer
from time import monotonic
from urllib.parse import SplitResult, urljoin, urlsplit

MAX_REDIRECTS = 5
MOVED = frozenset({301, 302, 303, 307, 308})
PIECE_BYTES = 256 * 1024
CONNECT_S = 10.0
NAT64 = ip_network("64:ff9b::/96")  # stands for every IPv4 address, private ones too
Resolve = Callable[[str, int], Sequence[str]]
Connect = Callable[[tuple[str, int], float], socket.socket]


class NotFetched(Exception):
    """Why a file was not got, in words for the person who asked for it."""


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(address: str) -> bool:
    """Whether an address is one of the internet's, also behind what wraps IPv4 in IPv6."""
    ip = ip_address(address.split("%", maxsplit=1)[0])
    inner = _inner(ip) if isinstance(ip, IPv6Address) else None
    if ip.is_multicast or not ip.is_global or (ip.version == 6 and ip in NAT64):
        return False
    return inner is None or (inner.is_global and not inner.is_multicast)


def _inner(ip: IPv6Address) -> IPv4Address | None:
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def checked_address(parts: SplitResult, find: Resolve) -> str:
    """The address to connect to; raises NotFetched unless all that the host has are public."""
    host, port = parts.hostname or "", parts.port or 443
    try:
        addresses = find(host, port)
    except (OSError, UnicodeError):
        raise NotFetched(f"the host {host} is not known") from None
    for address in addresses:
        if not is_public(address):
            raise NotFetched(f"{host} is not a public host: its address is {address}")
    if not addresses:
        raise NotFetched(f"the host {host} has no address")
    return addresses[0]


@dataclass(frozen=True)
class Way:
    """How hosts are found, reached and believed."""

    find: Resolve = resolve
    connect: Connect = socket.create_connection
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)


class _Pinned(HTTPSConnection):
    """Connects to an address that was checked; the name is for the certificate and the request."""

    def __init__(self, host: str, port: int, address: str, way: Way) -> None:
        super().__init__(host, port, timeout=CONNECT_S, context=way.context)
        self._address, self._way = address, way

    def connect(self) -> None:
        plain = self._way.connect((self._address, self.port), CONNECT_S)
        self.sock = plain  # so that it is closed whatever happens to the handshake
        self.sock = self._way.context.wrap_socket(plain, server_hostname=self.host)

    def hang_up(self) -> None:
        """From another thread: whoever reads or writes here gets an error at once."""
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already


def fetch(
    url: str,
    *,
    allows: Callable[[str], bool],
    timeout_s: float,
    way: Way | None = None,
) -> Iterator[bytes]:
    """The body of a GET, piece by piece, after at most MAX_REDIRECTS redirections.

    Each URL on the way must be one that it `allows`, and lead to public addresses alone; the
    connection goes to the very address that was checked. Raises NotFetched, also after `timeout_s`
    for all of it.
    """
    way = way or Way()
    deadline = monotonic() + timeout_s
    for _ in range(MAX_REDIRECTS + 1):
        if not allows(url):
            raise NotFetched(f"it leads on to {_shown(url)}, which is not allowed")
        with _answer(url, deadline, way) as answer:
            if answer.status not in MOVED:
                yield from _body(answer, deadline)
                return
            url = urljoin(url, answer.getheader("location", ""))
    raise NotFetched(f"it leads on more than {MAX_REDIRECTS} times")


@contextmanager
def _answer(url: str, deadline: float, way: Way) -> Iterator[HTTPResponse]:
    parts = urlsplit(url)
    address = checked_address(parts, way.find)
    connection = _Pinned(parts.hostname or "", parts.port or 443, address, way)
    alarm = Timer(max(deadline - monotonic(), 0.0), connection.hang_up)
    alarm.daemon = True
    alarm.start()
    try:
        with closing(connection):
            target = parts._replace(scheme="", netloc="", fragment="", path=parts.path or "/")
            headers = {"Accept-Encoding": "identity", "User-Agent": "unroll"}
            connection.request("GET", target.geturl(), headers=headers)
            yield connection.getresponse()
    except (OSError, HTTPException, ValueError) as fault:
        raise NotFetched(_why(fault, deadline)) from None
    finally:
        alarm.cancel()


def _body(answer: HTTPResponse, deadline: float) -> Iterator[bytes]:
    if answer.status != 200:
        raise NotFetched(f"the server answers {answer.status} {answer.reason[:80]}")
    received = 0
    while data := answer.read1(PIECE_BYTES):
        received += len(data)
        if monotonic() > deadline:
            raise TimeoutError
        yield data
    declared = answer.getheader("content-length", "")
    if monotonic() > deadline or (declared.isdigit() and received < int(declared)):
        raise ConnectionError("the connection broke before the end of the file")


def _why(fault: Exception, deadline: float) -> str:
    if monotonic() >= deadline or isinstance(fault, TimeoutError):
        return "it takes too long"
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted: {fault.verify_message}"
    return f"the server cannot be read: {fault or type(fault).__name__}"


def _shown(url: str) -> str:
    """Without a query, which may hold a secret."""
    return urlsplit(url)._replace(query="", fragment="").geturl()[:200]
