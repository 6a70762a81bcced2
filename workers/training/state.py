"""Everything that decides the next step, as named tensors and JSON, and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from shared.nn.network import Network
from shared.nn.stack import StackState
from workers.training.loop import Position, Training
from workers.training.ranks import interleaved
from workers.training.team import Parts

OPTIMIZER, CARRIED, RNG = "optimizer.", "carried.", "rng."


def capture(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts from which `restore` goes on exactly.

    Weights are not among them; the learning rate follows from the step and from what the
    schedule learnt, the order of the data from seed and epoch.
    """
    position = training.position
    everyone = training.team.gather(own_parts(training))
    tensors = {**_optimizer_tensors(training)}
    for name in everyone[0]:
        shares = [parts[name] for parts in everyone]
        if name.startswith(CARRIED):
            tensors[name] = interleaved(shares)
        else:
            tensors |= {_of_rank(name, rank): share for rank, share in enumerate(shares)}
    facts: dict[str, Any] = {
        "step": position.step,
        "epoch": position.epoch,
        "batch": position.batch,
        "schedule": training.schedule.to_json(),
    }
    return tensors, facts


def own_parts(training: Training) -> Parts:
    """What this process alone knows: the state of its rows and its random generators."""
    parts = _carried_tensors(training.position.carried)
    if training.team.is_idle:
        parts = {name: tensor[:0] for name, tensor in parts.items()}
    parts[RNG + "cpu"] = torch.get_rng_state()
    if training.device.type == "cuda":
        parts[RNG + "cuda"] = torch.cuda.get_rng_state(training.device)
    return parts


def _of_rank(name: str, rank: int) -> str:
    return f"{name}.{rank}" if rank else name


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
    cpu, cuda = (_of_rank(RNG + kind, training.team.rank) for kind in ("cpu", "cuda"))
    torch.set_rng_state(tensors[cpu])
    if training.device.type == "cuda" and cuda in tensors:
        torch.cuda.set_rng_state(tensors[cuda], training.device)


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

    def found(name: str) -> Tensor:
        return training.team.rows(tensors[CARRIED + name]).to(training.device)

    return tuple(
        tuple(
            tuple(found(f"{i}.{j}.{k}") for k in range(len(cell))) for j, cell in enumerate(layer)
        )
        for i, layer in enumerate(empty)
    )
