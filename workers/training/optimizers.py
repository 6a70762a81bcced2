"""Optimizers by name, and the learning rate as a pure function of the step."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn, optim

Parameters = Iterable[nn.Parameter]


@dataclass(frozen=True, slots=True)
class OptimizerPlan:
    """What an optimizer is and how its learning rate moves."""

    type: str
    lr: float
    weight_decay: float
    momentum: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    total_steps: int = 1


def _adamw(parameters: Parameters, plan: OptimizerPlan) -> optim.Optimizer:
    return optim.AdamW(parameters, lr=plan.lr, weight_decay=plan.weight_decay)


def _adam(parameters: Parameters, plan: OptimizerPlan) -> optim.Optimizer:
    return optim.Adam(parameters, lr=plan.lr, weight_decay=plan.weight_decay)


def _sgd(parameters: Parameters, plan: OptimizerPlan) -> optim.Optimizer:
    return optim.SGD(parameters, lr=plan.lr, weight_decay=plan.weight_decay, momentum=plan.momentum)


def _rmsprop(parameters: Parameters, plan: OptimizerPlan) -> optim.Optimizer:
    return optim.RMSprop(
        parameters, lr=plan.lr, weight_decay=plan.weight_decay, momentum=plan.momentum
    )


OPTIMIZERS: dict[str, Callable[[Parameters, OptimizerPlan], optim.Optimizer]] = {
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
    "rmsprop": _rmsprop,
}
SHAPES: dict[str, Callable[[float], float]] = {
    # share of the steps after the warm-up that are done -> factor of the learning rate
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}


def build_optimizer(parameters: Parameters, plan: OptimizerPlan) -> optim.Optimizer:
    return OPTIMIZERS[plan.type](parameters, plan)


def lr_at(plan: OptimizerPlan, step: int) -> float:
    """Learning rate of the step with this number, the first being 1."""
    if step <= plan.warmup_steps:
        return plan.lr * step / plan.warmup_steps
    after = max(1, plan.total_steps - plan.warmup_steps)
    done = min(1.0, (step - 1 - plan.warmup_steps) / after)
    return plan.lr * SHAPES[plan.schedule](done)
