"""Files over HTTPS: from public addresses alone, also after redirects, and within a time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.api.fetching import NotFetched, Way, fetch, is_public

HOST, PUBLIC = "data.example", "93.184.215.14"
BODY = b'{"input": "abab", "target": "x"}\n' * 20_000


def write_certificate(folder: Path) -> Path:
    """A key and a certificate of HOST that nobody but its holder trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


class Handler(BaseHTTPRequestHandler):
    """What a path is answered with; a redirect leads to the rest of its path."""

    let_go = Event()

    def do_GET(self) -> None:
        kind, _, rest = self.path[1:].partition("/")
        if kind == "to":
            self.send_response(302)
            self.send_header("location", rest)
            self.end_headers()
        elif kind == "missing":
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("content-length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY[: 10 if kind in ("drip", "short") else None])
            if kind == "drip":
                self.wfile.flush()
                self.let_go.wait(30)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def port(certificate: Path) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    Handler.let_go.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Net:
    """A net in which HOST has PUBLIC, and PUBLIC is a server on this machine."""

    def __init__(self, port: int, certificate: Path, *addresses: str) -> None:
        self.addresses = addresses or (PUBLIC,)
        self.port = port
        self.reached: list[tuple[str, int]] = []
        context = ssl.create_default_context(cafile=certificate)
        self.way = Way(find=self.find, connect=self.connect, context=context)

    def find(self, host: str, port: int) -> list[str]:
        named = {"inside.example": "10.0.0.7", "metadata.example": "169.254.169.254"}
        return [named[host]] if host in named else list(self.addresses)

    def connect(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        self.reached.append(address)
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def get(self, path: str, host: str = HOST, timeout_s: float = 20) -> bytes:
        pieces = fetch(
            f"https://{host}/{path}",
            allows=lambda url: urlsplit(url).path != "/secret",
            timeout_s=timeout_s,
            way=self.way,
        )
        return b"".join(pieces)


@pytest.fixture
def net(port: int, certificate: Path) -> Net:
    return Net(port, certificate)


def test_a_file_comes_whole_from_the_address_that_was_checked(net: Net) -> None:
    assert net.get("data.jsonl?token=1") == BODY
    assert net.reached == [(PUBLIC, 443)]


def test_a_redirect_is_followed_to_a_public_host(net: Net) -> None:
    assert net.get(f"to/https://{HOST}:8443/data") == BODY
    assert net.get("to//data") == BODY
    assert net.reached == [(PUBLIC, 443), (PUBLIC, 8443), (PUBLIC, 443), (PUBLIC, 443)]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("to/https://inside.example/", "inside.example is not a public host"),
        ("to/https://metadata.example/latest", "169.254.169.254"),
        ("to//secret", "not allowed"),
        ("to//to//to//to//to//to//to//data", "more than 5 times"),
        ("missing", "404"),
        ("short", "broke"),
    ],
)
def test_what_leads_elsewhere_or_nowhere_is_refused(net: Net, path: str, words: str) -> None:
    with pytest.raises(NotFetched, match=words):
        net.get(path)

    assert {address for address, _ in net.reached} == {PUBLIC}


def test_a_server_that_drips_is_left_when_the_time_is_over(net: Net) -> None:
    with pytest.raises(NotFetched, match="too long"):
        net.get("drip", timeout_s=0.5)


def test_a_certificate_of_another_host_is_not_trusted(net: Net) -> None:
    with pytest.raises(NotFetched, match="certificate"):
        net.get("data", host="other.example")


def test_a_host_with_one_private_address_among_others_is_refused(
    port: int, certificate: Path
) -> None:
    net = Net(port, certificate, PUBLIC, "192.168.1.1")

    with pytest.raises(NotFetched, match="not a public host"):
        net.get("data")

    assert net.reached == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0.0.0.0"])
def test_this_machine_is_refused_by_every_name(port: int, host: str) -> None:
    pieces = fetch(f"https://{host}:{port}/data", allows=lambda url: True, timeout_s=10)

    with pytest.raises(NotFetched, match="not a public host"):
        next(pieces)


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        (PUBLIC, True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        *((address, False) for address in ("127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.0.1")),
        *(
            (address, False)
            for address in ("169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1")
        ),
        *((address, False) for address in ("::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1")),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, wanted: bool) -> None:
    assert is_public(address) is wanted
