"""Sessions and sequences as they are written, as methods; knows the inference service alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Self

from services.client.calls import Caller, model_path, part
from services.client.errors import UnexpectedAnswer, error_of
from services.client.events import lines_of, messages_of
from services.client.models import Generated, SessionFacts, View
from services.client.transport import Call, Transport, creating

SILENCE_S = 60.0  # between two steps of a sequence


class Session:
    """One session on the service. `facts` is where it stood at the last answer.

    Each step names the position that it is meant for: one that was read already is `Conflict`, never
    read twice. After a lost answer, `refresh` says where the session stands. As a context
    manager it deletes the session.
    """

    def __init__(self, transport: Transport, facts: SessionFacts) -> None:
        self._transport, self.facts = transport, facts
        self._path = f"/v1/sessions/{part(facts.id)}"

    @property
    def id(self) -> str:
        return self.facts.id

    @property
    def position(self) -> int:
        """Elements read so far."""
        return self.facts.position

    def step(self, inputs: Sequence[Any] | str) -> list[dict[str, Any]]:
        """Have elements read; one output each, shaped as one step of `predict`."""
        elements = inputs if isinstance(inputs, str) else list(inputs)
        body = {"inputs": elements, "position": self.position}
        answer = self._transport.json(Call("POST", f"{self._path}/step", json=body))
        changed = {name: answer[name] for name in ("position", "expires_at")}
        self.facts = SessionFacts.of({**self.facts.raw, **changed})
        outputs: list[dict[str, Any]] = answer["outputs"]
        return outputs

    def refresh(self) -> SessionFacts:
        """Where the session stands, asked anew."""
        self.facts = SessionFacts.of(self._transport.json(Call("GET", self._path)))
        return self.facts

    def fork(self) -> "Session":
        """A second session that goes on from the same state."""
        facts = SessionFacts.of(self._transport.json(creating(f"{self._path}/fork")))
        return Session(self._transport, facts)

    def export(self) -> str:
        """The state, signed, for `session(name, state=..)` later or elsewhere."""
        return str(self._transport.json(Call("GET", f"{self._path}/state"))["state"])

    def delete(self) -> None:
        self._transport.send(Call("DELETE", self._path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.delete()


class InferenceCalls(Caller):
    """What a client asks of networks beside `predict`."""

    def session(
        self,
        name: str,
        *,
        version: str | int | None = None,
        state: str | None = None,
        lifetime_s: float | None = None,
    ) -> Session:
        """A new session with a model, at its beginning or in an exported state."""
        body = {"state": state, "lifetime_s": lifetime_s}
        call = creating(f"{model_path(name, version)}/sessions", json=body)
        return Session(self._inference, SessionFacts.of(self._inference.json(call)))

    def open_session(self, session_id: str) -> Session:
        """A session that was made before, by its id."""
        call = Call("GET", f"/v1/sessions/{part(session_id)}")
        return Session(self._inference, SessionFacts.of(self._inference.json(call)))

    def generate(
        self,
        name: str,
        input: Any,
        *,
        version: str | int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Generated:
        """One written sequence; `options` as of `predict`, and `stop`."""
        body = {"input": input, "options": dict(options or {})}
        call = Call("POST", f"{model_path(name, version)}/generate", json=body, is_repeatable=True)
        return Generated.of(self._inference.json(call))

    def stream_generate(
        self,
        name: str,
        input: Any,
        *,
        version: str | int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Iterator[View]:
        """Each step while it is written (`index`, and `text` or `value`), then the `Generated`.

        Closing the iterator ends the work.
        """
        body = {"input": input, "options": dict(options or {}), "stream": True}
        path = f"{model_path(name, version)}/generate"
        call = Call("POST", path, json=body, read_timeout_s=SILENCE_S)
        with closing(self._inference.send(call, stream=True)) as response:
            for message in messages_of(lines_of(response.iter_bytes())):
                data: dict[str, Any] = json.loads("\n".join(message.data))
                if message.type == "error":
                    raise error_of(503, {"error": data})
                yield Generated.of(data) if message.type == "done" else View.of(data)
                if message.type == "done":
                    return
        raise UnexpectedAnswer(
            "the service ended the sequence without saying so; is it restarting?"
        )
