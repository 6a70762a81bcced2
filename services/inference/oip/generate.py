"""Texts that a model writes, whole or symbol by symbol. Knows no route."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from pydantic import BaseModel, ConfigDict

from services.inference.generation.writer import Event, writer_for
from services.inference.oip.infer import Protocol, Watch, key_of
from services.inference.oip.message import Parameters
from services.inference.oip.reading import options_of
from services.inference.oip.tensors import dumps
from services.inference.options import GenerateOptions, Options
from services.inference.predictor import encode, forward_pass, predict
from services.inference.registry import Loaded
from services.inference.writing import check_work, with_seed
from shared.data.encoding import JOINERS, TextTarget, TokenInput
from shared.jobs.errors import InvalidSpec

CONTINUED_BY = 64
"""Symbols that a model of next symbols writes when it is not told how many."""


class GenerateRequest(BaseModel):
    """A text to answer or to continue, or a category to write about."""

    text_input: str
    id: str | None = None
    """Comes back with the answer."""
    parameters: Parameters = {}
    """Generation options."""


class GenerateView(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    text_output: str
    model_name: str
    model_version: str
    id: str | None = None


class Generation:
    """One text of one model, which is checked when this is made."""

    def __init__(
        self, protocol: Protocol, name: str, version: str, request: GenerateRequest
    ) -> None:
        """Raises a `Fact` when the model writes no text, or not about this input."""
        self.protocol, self.request = protocol, request
        self.model = protocol.registry.get(name, version)
        _check_text(self.model)
        self.options = with_seed(_bounded(self.model, options_of(request.parameters)))
        self.array = encode(self.model, request.text_input, 0)
        check_work(self.model, self.options, 1)

    def whole(self) -> dict[str, Any]:
        watch = Watch()
        text = self._text()
        self._count(watch)
        return self._view(text)

    def events(self) -> Iterator[bytes]:
        """Server-sent events: each piece when it is written, then an empty one that says done."""
        watch = Watch()
        for piece in self._pieces():
            yield _event({**self._view(piece), "done": False})
        self._count(watch)
        yield _event({**self._view(""), "done": True})

    def _text(self) -> str:
        [answer] = predict(self.model, [self.request.text_input], self.options)
        return str(answer["text"])

    def _pieces(self) -> Iterator[str]:
        if self.options.beam_size > 1:  # which sequence is best shows at the end
            yield self._text()
            return
        options = GenerateOptions.model_validate(self.options.model_dump())
        with closing(iter(writer_for(self.model, self.array, options))) as steps:
            while (event := _next(steps)) is not None:
                yield event["text"]

    def _count(self, watch: Watch) -> None:
        watch.lap()
        self.protocol.statistics.succeeded(
            key_of(self.model), 1, (0, *watch.laps_ns, 0), watch.now_ms
        )

    def _view(self, text: str) -> dict[str, Any]:
        model = self.model
        view = {"text_output": text, "model_name": model.name, "model_version": str(model.version)}
        return view if self.request.id is None else {**view, "id": self.request.id}


def _next(steps: Iterator[Event]) -> Event | None:
    with forward_pass():  # for one step: the reader may be slow
        return next(steps, None)


def _check_text(model: Loaded) -> None:
    """Raises InvalidSpec where the symbols that the model writes are no text, or it writes none."""
    encoding = model.encoding
    part = encoding.target if isinstance(encoding.target, TextTarget) else encoding.input
    is_text = isinstance(part, TextTarget | TokenInput) and part.tokens in JOINERS
    if not is_text or not (encoding.generates or encoding.target.kind == "next"):
        raise InvalidSpec(
            f"Model {model.name!r} writes no text; use infer, or POST /v1/models/{{name}}/predict."
        )


def _bounded(model: Loaded, options: Options) -> Options:
    if model.encoding.generates or options.max_length is not None:
        return options
    return options.model_copy(update={"max_length": CONTINUED_BY})


def _event(view: dict[str, Any]) -> bytes:
    return b"data: " + dumps(view) + b"\n\n"
