"""One batch of steps: sessions of one model go on together, and are stored in one trip. No HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.inference.registry import Loaded
from services.inference.sessions.state import pack
from services.inference.sessions.store import Kept, Saved, SessionStore
from shared.nn.steps.cells import sigmoid

Array = NDArray[Any]


def softmax(logits_TK: Array) -> Array:
    powers_TK = np.exp(logits_TK - logits_TK.max(-1, keepdims=True))
    result: Array = powers_TK / powers_TK.sum(-1, keepdims=True)
    return result


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "categorical": softmax,
    "binary": sigmoid,
    "real": lambda values: values,
}


@dataclass(frozen=True, slots=True)
class Step:
    """Elements that a session reads next."""

    before: Kept
    state_S: Array
    x_T: Array
    """Encoded elements, (T,) or (T, F)."""
    num_earlier: int = 0
    """Elements of the same request that earlier ticks have read."""
    is_last: bool = True
    """Whether the request ends here; only then is something stored."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What came of a step."""

    outputs_TK: Array
    """Activated, one row an element."""
    state_S: Array
    after: Kept
    saved: Saved


class Ticks:
    """What a batcher calls for the steps that wait for one model."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store

    def __call__(self, model: Loaded, steps: Sequence[Step]) -> list[Advanced]:
        stepper = model.stepper
        states_BS = np.stack([step.state_S for step in steps])
        outputs, after_BS = stepper.run([step.x_T for step in steps], states_BS)
        activate = ACTIVATIONS[model.encoding.output_kind]
        kept = [_after(*each) for each in zip(steps, after_BS, strict=True)]
        verdicts = self._save(steps, kept)
        rows = zip(outputs, after_BS, kept, verdicts, strict=True)
        return [Advanced(activate(out), state, after, saved) for out, state, after, saved in rows]

    def _save(self, steps: Sequence[Step], kept: Sequence[Kept]) -> list[Saved]:
        last = [index for index, step in enumerate(steps) if step.is_last]
        verdicts = [Saved.DONE] * len(steps)
        if last:
            saved = self.store.save([(steps[index].before, kept[index]) for index in last])
            for index, verdict in zip(last, saved, strict=True):
                verdicts[index] = verdict
        return verdicts


def _after(step: Step, state_S: Array) -> Kept:
    if not step.is_last:
        return step.before
    return step.before.moved(step.num_earlier + len(step.x_T), pack(state_S))
