"""Which URLs datasets may come from, and their bytes as a file. Nothing is allowed but what is listed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from threading import BoundedSemaphore
from time import monotonic
from typing import Any, BinaryIO
from urllib.parse import SplitResult, unquote, urlsplit

import fsspec

from services.api import fetching
from services.api.fetching import NotFetched
from shared.config import get_settings
from shared.jobs.errors import InvalidSpec, TooLarge, TooManyFetches
from shared.logging import get_logger

AT_ONCE = 4  # each holds a thread of the service
BLOCK_BYTES = 5 * 2**20  # of a bucket's file that are read ahead
_slots = BoundedSemaphore(AT_ONCE)
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of the setting: a scheme, and where it has them a host or bucket and a folder."""

    scheme: str
    host: str  # "" = any
    folder: str  # "" = anywhere

    @classmethod
    def of(cls, entry: str) -> Source:
        """Of `https`, `https://host`, `s3`, `s3://bucket/folder` or `file:///folder`."""
        parts = urlsplit(entry if ":" in entry else f"{entry}://")
        return cls(parts.scheme, parts.hostname or "", unquote(parts.path).strip("/"))

    def allows(self, parts: SplitResult) -> bool:
        if parts.scheme != self.scheme:
            return False
        if self.scheme == "file":
            return not parts.netloc and self._has_file(Path(unquote(parts.path)))
        is_host = parts.hostname is not None and self.host in ("", parts.hostname)
        return is_host and self._has_key(parts.path)

    def _has_file(self, path: Path) -> bool:
        root = Path("/", self.folder).resolve()
        return bool(self.folder) and path.is_absolute() and path.resolve().is_relative_to(root)

    def _has_key(self, path: str) -> bool:
        key = PurePosixPath(unquote(path).lstrip("/"))
        return ".." not in key.parts and key.is_relative_to(self.folder)


def allows(url: str) -> bool:
    """Whether the operator lists a source that has this URL; none has one with a user in it."""
    try:
        parts = urlsplit(url)
        is_plain = parts.username is None and parts.password is None and parts.port != 0
    except ValueError:
        return False
    entries = get_settings().dataset_sources
    return is_plain and any(Source.of(entry).allows(parts) for entry in entries)


@contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """The bytes at a URL, copied to a file of our own that is gone afterwards.

    Raises:
        InvalidSpec: the URL is not allowed, or cannot be read in time.
        TooLarge: there is more than an upload may have.
        TooManyFetches: enough files are being read already.
    """
    if not allows(url):
        raise InvalidSpec(_not_allowed(), param="url")
    if not _slots.acquire(blocking=False):
        raise TooManyFetches(AT_ONCE)
    try:
        with TemporaryFile() as file:
            try:
                copy(READERS[urlsplit(url).scheme](url), file)
            except NotFetched as fault:
                raise InvalidSpec(f"This URL cannot be read: {fault}.", param="url") from fault
            file.seek(0)
            yield file
    finally:
        _slots.release()


def copy(pieces: Iterator[bytes], file: BinaryIO) -> None:
    """Write all pieces, in the time and up to the size that the settings allow."""
    settings = get_settings()
    deadline, size = monotonic() + settings.dataset_fetch_s, 0
    for piece in pieces:
        size += len(piece)
        if size > settings.max_upload_bytes:
            limit = settings.max_upload_bytes
            message = f"The file is larger than the {limit} bytes that are allowed."
            raise TooLarge(message, param="url")
        if monotonic() > deadline:
            raise NotFetched("it takes too long")
        file.write(piece)


def described(url: str) -> str:
    """A URL as it may be stored and shown: without its query, which may hold a secret."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def filename_of(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name


def _https(url: str) -> Iterator[bytes]:
    return fetching.fetch(url, allows=_allows_https, timeout_s=get_settings().dataset_fetch_s)


def _allows_https(url: str) -> bool:
    return urlsplit(url).scheme == "https" and allows(url)


def _file(url: str) -> Iterator[bytes]:
    path = Path(unquote(urlsplit(url).path)).resolve()  # what was checked, whatever links say later
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise NotFetched("it is not a file")
        yield from _pieces(fsspec.filesystem("file").open(str(path), "rb"))
    except OSError as fault:
        raise NotFetched(fault.strerror or "it is not there") from None


def _s3(url: str) -> Iterator[bytes]:
    """With the credentials and the endpoint of this process, which is why the operator lists buckets."""
    try:
        system = fsspec.filesystem("s3")
    except ImportError:
        raise NotFetched("s3 needs s3fs where the service runs: pip install s3fs") from None
    parts = urlsplit(url)
    place = f"{parts.hostname}{unquote(parts.path)}"
    try:
        if system.info(place)["type"] != "file":
            raise NotFetched("it is not a file")
        yield from _pieces(system.open(place, "rb", block_size=BLOCK_BYTES))
    except NotFetched:
        raise
    except FileNotFoundError:
        raise NotFetched("there is no such bucket or key") from None
    except PermissionError:
        raise NotFetched("the credentials of this service may not read it") from None
    except Exception as fault:  # s3fs lets those of botocore and aiohttp through
        log.warning("a bucket cannot be read", error=str(fault))  # which may name the endpoint
        raise NotFetched(f"the bucket cannot be read: {type(fault).__name__}") from None


def _pieces(file: Any) -> Iterator[bytes]:
    with file:
        while data := file.read(fetching.PIECE_BYTES):
            yield data


READERS: dict[str, Callable[[str], Iterator[bytes]]] = {"https": _https, "file": _file, "s3": _s3}


def _not_allowed() -> str:
    entries = ", ".join(get_settings().dataset_sources)
    if not entries:
        return "No URL may be read here: upload the file, or have UNROLL_DATASET_SOURCES set."
    return f"This URL is not among the sources that are allowed: {entries}."
