"""What each network has to reach, and the recipe that reaches it. Data alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]


@dataclass(frozen=True)
class Bound:
    """Where a metric has to end."""

    low: float = float("-inf")
    high: float = float("inf")

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def words(self, show: Callable[[float], str]) -> str:
        if self.low == float("-inf"):
            return f"≤ {show(self.high)}"
        if self.high == float("inf"):
            return f"≥ {show(self.low)}"
        return f"{show(self.low)} to {show(self.high)}"


@dataclass(frozen=True)
class Goal:
    """One row: a dataset, a recipe, and what it has to reach."""

    task: str
    label: str
    network: Spec
    training: Spec
    metric: str
    bound: Bound | None  # none: set by the n-gram that is best on the validation names
    published: str
    limit_s: float | None = None
    """Seconds from the job's submission to its end."""
    dataset: str = ""
    """A built-in dataset; by default the task's own upload."""

    @property
    def name(self) -> str:
        return f"{self.task}-{self.label}"


def at_most(value: float) -> Bound:
    return Bound(high=value)


def at_least(value: float) -> Bound:
    return Bound(low=value)


def _trained(
    lr: float,
    batch_size: int,
    epochs: int,
    *,
    decay: float = 0.0,
    warmup_steps: int = 50,
    **more: Any,
) -> Spec:
    """AdamW, and a cosine to zero."""
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": {"type": "adamw", "lr": lr, "weight_decay": decay},
        "schedule": {"type": "cosine", "warmup_steps": warmup_steps},
        **more,
    }


def _adding(label: str, cell: Spec, bound: Bound, published: str) -> Goal:
    return Goal(
        task="adding",
        label=label,
        network={"cell": cell, "hidden_size": 64},
        training=_trained(0.004, 50, 10),
        metric="test/mse",
        bound=bound,
        published=published,
        limit_s=60,
        dataset="adding",
    )


_GATED = at_most(0.0035)
_SUM = "0.167 for always answering the mean (variance of a sum of two uniform numbers)"
_BAI = "Bai et al. 2018, Table 1"


def _jsb(cell: str, lr: float, high: float, published: str, *, decay: float = 0.0) -> Goal:
    return Goal(
        task="jsb",
        label=cell,
        network={"cell": cell, "hidden_size": 200, "dropout": 0.5},
        training=_trained(lr, 8, 120, decay=decay, warmup_steps=0),
        metric="test/nll_per_step",
        bound=at_most(high),
        published=f"{published} ({_BAI})",
    )


def _digits(label: str, dataset: str, hidden_size: int) -> Goal:
    return Goal(
        task="digits",
        label=label,
        network={"cell": "lstm", "hidden_size": hidden_size, "dropout": 0.2},
        training=_trained(0.004, 32, 30),
        metric="test/accuracy",
        bound=at_least(0.95),
        published="none on this split",
        dataset=dataset,
    )


GOALS = (
    _adding("lstm", {"type": "lstm"}, _GATED, _SUM),
    _adding("lstm-peephole", {"type": "lstm", "peephole": True}, _GATED, _SUM),
    _adding("lstm-coupled", {"type": "lstm", "coupled_gates": True}, _GATED, _SUM),
    _adding("gru", {"type": "gru"}, _GATED, _SUM),
    _adding("elman-sigmoid", {"type": "elman", "activation": "sigmoid"}, Bound(0.14, 0.2), _SUM),
    _jsb("lstm", 0.01, 8.45, "8.45"),
    _jsb("gru", 0.006, 8.67, "8.43", decay=0.1),
    _jsb("elman", 0.002, 9.2, "8.91"),
    _digits("one-to-one", "digits-flat", 128),
    _digits("many-to-one", "digits", 64),
    Goal(
        task="names",
        label="lstm",
        network={"cell": "lstm", "hidden_size": 128, "dropout": 0.3},
        training=_trained(0.005, 64, 8),
        metric="test/accuracy",
        bound=at_least(0.82),
        published="none for names without duplicates",
    ),
    Goal(
        task="tinyshakespeare",
        label="lstm",
        network={"cell": "lstm", "hidden_size": 192},
        training=_trained(0.006, 32, 4, tbptt_steps=64),
        metric="val/loss",
        bound=at_most(1.65),
        published="1.88 (nanoGPT's three-minute run on a CPU)",
        limit_s=120,
    ),
    Goal(
        task="cmudict",
        label="lstm-attention",
        network={
            "cell": "lstm",
            "hidden_size": 128,
            "bidirectional": True,
            "attention": "dot",
            "dropout": 0.1,
        },
        training=_trained(0.005, 128, 3, warmup_steps=100),
        metric="test/edit_rate",
        bound=at_most(0.13),
        published="none on this split",
        limit_s=240,
    ),
    Goal(
        task="generation",
        label="lstm",
        network={
            "cell": "lstm",
            "hidden_size": 256,
            "embedding_size": 32,
            "dropout": 0.5,
            "condition": "every_step",
        },
        training=_trained(0.004, 64, 14, decay=0.05, warmup_steps=100),
        metric="test/loss",
        bound=None,
        published="none; the goal is the best n-gram's",
    ),
)
