"""Optimizers by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn, optim

Parameters = Iterable[nn.Parameter]


@dataclass(frozen=True, slots=True)
class OptimizerPlan:
    """What an optimizer is."""

    type: str
    lr: float
    weight_decay: float
    momentum: float = 0.0


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


def build_optimizer(parameters: Parameters, plan: OptimizerPlan) -> optim.Optimizer:
    return OPTIMIZERS[plan.type](parameters, plan)
