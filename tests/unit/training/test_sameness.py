"""The same spec trains the same weights, bit for bit; another precision trains nearly the same."""

from typing import Any

import pytest

from shared.data.table import DatasetTable
from shared.jobs.errors import ErrorClass
from shared.nn.checkpoint import weights_sha256
from tests.unit.training.builders import (
    builtin_table,
    make_table,
    plan_for,
    ragged_series,
    reversed_words,
)
from workers.plan import JobFailed, Plan
from workers.training.loop import fit

WORDS = ["left", "right", "up"] * 10
DROPPED: dict[str, Any] = {"network": {"dropout": 0.3, "num_layers": 2}}
TAUGHT = {"training": {"teacher_forcing": 0.5}}
MAPPINGS: dict[str, tuple[DatasetTable, dict[str, Any]]] = {
    "one_to_one": (make_table([[i, 1.5] for i in range(30)], WORDS, input_kind="vector"), DROPPED),
    "one_to_many": (
        make_table(WORDS, [w[:2] for w in WORDS], input_kind="category", target_kind="text"),
        {**DROPPED, **TAUGHT},
    ),
    "many_to_one": (
        make_table(ragged_series(), [s[0][0] for s in ragged_series()]),
        {"network": {"bidirectional": True, "readout": "attention", "recurrent_dropout": 0.2}},
    ),
    "aligned": (make_table(ragged_series()), {"training": {"tbptt_steps": 3}, **DROPPED}),
    "stream": (
        builtin_table("pydocs"),
        {"network": {"cell": "gru"}, "training": {"batch_size": 512, "max_steps": 4}},
    ),
    "series": (
        make_table(ragged_series(), ragged_series()[::-1], target_kind="series"),
        {**DROPPED, **TAUGHT},
    ),
    "encoder_decoder": (
        reversed_words(),
        {"network": {"bidirectional": True, "attention": "additive"}, **TAUGHT},
    ),
}


def trained(name: str, precision: str = "fp32") -> tuple[Plan, list[float]]:
    """A plan that went to its end, and the loss of each step."""
    table, wanted = MAPPINGS[name]
    plan = plan_for(table, **wanted)
    plan.training.precision = precision
    return plan, [s.loss.item() for s in fit(plan.training, plan.spec.training.max_steps)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", MAPPINGS)
def test_two_trainings_of_one_spec_end_with_the_same_weights(name: str, precision: str) -> None:
    (first, losses), (second, again) = (trained(name, precision) for _ in range(2))

    assert losses == again
    hashes = {weights_sha256(plan.training.network.state_dict()) for plan in (first, second)}
    assert len(hashes) == 1


@pytest.mark.parametrize("name", MAPPINGS)
def test_bf16_changes_the_losses_a_little_and_the_weights_stay_in_fp32(name: str) -> None:
    (plan, losses), (lowered, lowered_losses) = (trained(name, p) for p in ("fp32", "bf16"))

    kinds = {str(p.dtype) for p in lowered.training.network.parameters()}
    assert kinds == {"torch.float32"}
    assert lowered_losses != losses
    assert lowered_losses[:3] == pytest.approx(losses[:3], rel=0.05)
    assert plan.training.position.step == lowered.training.position.step


def test_bf16_is_not_quietly_trained_as_something_else_on_a_cpu() -> None:
    with pytest.raises(JobFailed, match="set training") as failed:
        plan_for(make_table(ragged_series()), training={"precision": "bf16"})

    assert (failed.value.error.code, failed.value.error.cls) == ("no_cuda", ErrorClass.RESOURCE)
