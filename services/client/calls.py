"""What all methods of the client share: two services, and answers that become views; no noun."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from services.client.errors import NotFound
from services.client.models import Page, View, page_of
from services.client.transport import Call, Param, Transport

PAGE_SIZE = 100  # the largest that the services give
V = TypeVar("V", bound=View)
Params = Mapping[str, Param | None]


class Caller:
    """Asks the API; what belongs to the inference service goes through `_inference`."""

    _api: Transport
    _inference: Transport

    def _get(self, kind: type[V], path: str, params: Params | None = None) -> V:
        return kind.of(self._api.json(Call("GET", path, params=_given(params or {}))))

    def _page(self, kind: type[V], path: str, params: Params) -> Page[V]:
        return page_of(kind, self._api.json(Call("GET", path, params=_given(params))))

    def _save(
        self,
        path: str,
        to: str | Path,
        params: Params | None = None,
        service: Transport | None = None,
    ) -> None:
        """Write what is at `path` to a file, a chunk at a time; of the API unless told otherwise."""
        call, service = Call("GET", path, params=_given(params or {})), service or self._api
        with closing(service.send(call, stream=True)) as answer, Path(to).open("wb") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)


def every(page: Callable[..., Page[V]], **filters: Any) -> Iterator[V]:
    """The items of all pages."""
    after: str | None = None
    while True:
        found = page(**filters, limit=PAGE_SIZE, after=after)
        yield from found.data
        if not found.has_more:
            return
        after = found.last_id


def _given(params: Params) -> dict[str, Param]:
    return {name: value for name, value in params.items() if value is not None}


def part(name: str) -> str:
    """A name as one part of a path, whatever it holds; empty, `.` and `..` would leave the path."""
    if name in ("", ".", ".."):
        raise NotFound(404, "not_found", f"There is nothing called {name!r}.")
    return quote(name, safe="")


def model_path(name: str, version: str | int | None) -> str:
    """Where a model is asked; `version` is a number or an alias, None the newest."""
    chosen = "" if version is None else f"/versions/{part(str(version))}"
    return f"/v1/models/{part(name)}{chosen}"
