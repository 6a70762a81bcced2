"""Everything that decides the next step, as named tensors and JSON, and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from shared.nn.network import Network
from shared.nn.stack import StackState
from workers.training.loop import Position, Training

OPTIMIZER, CARRIED, RNG = "optimizer.", "carried.", "rng."


def capture(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts from which `restore` goes on exactly.

    Weights are not among them; the learning rate follows from the step and from what the
    schedule learnt, the order of the data from seed and epoch.
    """
    position = training.position
    tensors = {**_optimizer_tensors(training), **_carried_tensors(position.carried)}
    tensors[RNG + "cpu"] = torch.get_rng_state()
    if training.device.type == "cuda":
        tensors[RNG + "cuda"] = torch.cuda.get_rng_state(training.device)
    facts: dict[str, Any] = {
        "step": position.step,
        "epoch": position.epoch,
        "batch": position.batch,
        "schedule": training.schedule.to_json(),
    }
    return tensors, facts


def restore(training: Training, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Set optimizer, schedule, position and random generators; the weights are loaded already."""
    _load_optimizer(training, tensors)
    training.position = Position(
        step=facts["step"],
        epoch=facts["epoch"],
        batch=facts["batch"],
        carried=_carried_state(training, tensors),
    )
    training.schedule.load(facts.get("schedule", {}))  # earlier versions had nothing to keep
    torch.set_rng_state(tensors[RNG + "cpu"])
    if training.device.type == "cuda" and RNG + "cuda" in tensors:
        torch.cuda.set_rng_state(tensors[RNG + "cuda"], training.device)


def _optimizer_tensors(training: Training) -> dict[str, Tensor]:
    state = training.optimizer.state_dict()["state"]
    return {
        f"{OPTIMIZER}{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def _load_optimizer(training: Training, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(OPTIMIZER):
            index, name = key.removeprefix(OPTIMIZER).split(".", 1)
            state.setdefault(int(index), {})[name] = tensor
    groups = training.optimizer.state_dict()["param_groups"]
    training.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _carried_tensors(carried: StackState | None) -> dict[str, Tensor]:
    return {
        f"{CARRIED}{i}.{j}.{k}": tensor
        for i, layer in enumerate(carried or ())
        for j, cell in enumerate(layer)
        for k, tensor in enumerate(cell)
    }


def _carried_state(training: Training, tensors: Mapping[str, Tensor]) -> StackState | None:
    if not any(key.startswith(CARRIED) for key in tensors):
        return None
    assert isinstance(training.network, Network)  # the only ones that carry a state
    empty = training.network.initial_state(1)
    return tuple(
        tuple(
            tuple(tensors[f"{CARRIED}{i}.{j}.{k}"].to(training.device) for k in range(len(cell)))
            for j, cell in enumerate(layer)
        )
        for i, layer in enumerate(empty)
    )
