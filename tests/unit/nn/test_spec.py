"""A network's spec: what it fills in, and what it refuses at the field, with the remedy."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shared.nn import catalog
from shared.nn.catalog import CARDS, COMPILED, OWN, PLAIN, TRITON, describe_cells, kernel_of
from shared.nn.kernels import limits
from shared.nn.spec import NetworkSpec


def spec(**wanted: Any) -> NetworkSpec:
    return NetworkSpec.model_validate({"cell": "lstm", **wanted})


def test_a_list_of_sizes_decides_the_depth() -> None:
    network = spec(hidden_size=[256, 128])

    assert (network.num_layers, network.layer_sizes) == (2, (256, 128))
    assert spec(hidden_size=64, num_layers=2).layer_sizes == (64, 64)


@pytest.mark.parametrize("hidden_size", [32, [32, 16]])
def test_a_resolved_spec_can_be_sent_again(hidden_size: Any) -> None:
    first = spec(hidden_size=hidden_size, bidirectional=True)

    assert NetworkSpec.model_validate_json(first.model_dump_json()) == first
    assert json.loads(first.model_dump_json())["hidden_size"] == hidden_size


def test_two_directions_side_by_side_are_twice_as_wide() -> None:
    assert spec(hidden_size=[8, 4], bidirectional=True).layer_widths == (16, 8)
    assert spec(hidden_size=[8, 4], bidirectional=True, merge="sum").output_size == 4


@pytest.mark.parametrize(
    ("wanted", "field", "remedy"),
    [
        ({"hidden_size": []}, "hidden_size", "a list of one for each layer"),
        ({"hidden_size": [8, 0]}, "hidden_size", "whole number from 1"),
        ({"hidden_size": [8, True]}, "hidden_size", "whole number from 1"),
        ({"hidden_size": "8"}, "hidden_size", "whole number from 1"),
        ({"hidden_size": [8] * 65}, "hidden_size", "whole number from 1"),
        ({"hidden_size": [8, 4], "num_layers": 3}, "num_layers", "leave num_layers out"),
        ({"residual": True}, "residual", "num_layers of 2 or more"),
        ({"residual": True, "hidden_size": [8, 4]}, "residual", "use one hidden_size"),
        (
            {"residual": True, "num_layers": 2, "bidirectional": True, "merge": "mul"},
            "residual",
            "use merge concat, sum or mean",
        ),
        ({"cell": "mingru", "recurrent_dropout": 0.1}, "recurrent_dropout", "leave it out"),
        ({"recurrent_dropout": 1}, "recurrent_dropout", "less than 1"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(
    wanted: dict[str, Any], field: str, remedy: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(**wanted)

    (fault,) = caught.value.errors()
    assert fault["loc"] == (field,)
    assert remedy in fault["msg"]


@pytest.mark.parametrize(
    ("wanted", "kernel"),
    [
        ({"cell": "lstm", "hidden_size": 512}, "torch.nn.LSTM"),
        ({"cell": "lstm", "hidden_size": 128}, COMPILED),
        ({"cell": "lstm", "hidden_size": [512, 128]}, f"torch.nn.LSTM, {COMPILED}"),
        ({"cell": {"type": "lstm", "coupled_gates": True}, "hidden_size": 512}, COMPILED),
        ({"cell": "lstm", "layer_norm": True, "recurrent_dropout": 0.1}, COMPILED),
        ({"cell": "gru", "layer_norm": True}, PLAIN),
        ({"cell": "lstm", "hidden_size": 512, "recurrent_dropout": 0.1}, COMPILED),
        ({"cell": "gru", "recurrent_dropout": 0.1}, COMPILED),
        ({"cell": {"type": "gru", "reset_after": False}, "recurrent_dropout": 0.1}, PLAIN),
        ({"cell": "elman", "recurrent_dropout": 0.1}, PLAIN),
        ({"cell": {"type": "lstm", "peephole": True}}, COMPILED),
        ({"cell": "gru"}, COMPILED),
        ({"cell": {"type": "gru", "reset_after": False}}, OWN),
        ({"cell": "elman"}, OWN),
        ({"cell": "mingru"}, OWN),
    ],
)
def test_the_kernel_is_the_one_that_runs(wanted: dict[str, Any], kernel: str) -> None:
    assert kernel_of(NetworkSpec.model_validate(wanted)) == kernel


@pytest.mark.parametrize(
    ("cell", "kernel"),
    [
        ({"type": "lstm", "coupled_gates": True}, "torch.nn.LSTM"),
        ({"type": "lstm", "peephole": True}, OWN),
        ({"type": "gru"}, OWN),
    ],
)
def test_without_a_compiler_another_kernel_runs(
    cell: dict[str, Any], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "has_compiler", lambda: False)

    assert kernel_of(spec(cell=cell)) == kernel


ON_CUDA: list[tuple[dict[str, Any], str]] = [
    ({"cell": "elman"}, "torch.nn.RNN"),
    ({"cell": {"type": "elman", "activation": "sigmoid"}}, "torch.nn.RNN"),
    ({"cell": "lstm"}, "torch.nn.LSTM"),
    ({"cell": {"type": "lstm", "coupled_gates": True}}, "torch.nn.LSTM"),
    ({"cell": {"type": "lstm", "peephole": True}}, TRITON),
    ({"cell": {"type": "lstm", "peephole": True}, "hidden_size": [1024, 512]}, f"{OWN}, {TRITON}"),
    ({"cell": "gru"}, "torch.nn.GRU"),
    ({"cell": {"type": "gru", "reset_after": False}}, TRITON),
    ({"cell": "jordan"}, TRITON),
    ({"cell": "mgu"}, TRITON),
    ({"cell": "mgu", "hidden_size": 1024}, OWN),
    ({"cell": "mingru", "hidden_size": 1024}, TRITON),
    ({"cell": "minlstm"}, TRITON),
    ({"cell": "lstm", "layer_norm": True}, PLAIN),
]


@pytest.mark.parametrize(("wanted", "kernel"), ON_CUDA)
def test_on_cuda_triton_computes_what_torch_does_not_know(
    wanted: dict[str, Any], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "has_triton", lambda: True)

    assert kernel_of(spec(**wanted), "cuda") == kernel


@pytest.mark.parametrize(("wanted", "kernel"), ON_CUDA)
def test_on_cuda_without_triton_operations_of_torch_take_its_place(
    wanted: dict[str, Any], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "has_triton", lambda: False)

    assert kernel_of(spec(**wanted), "cuda") == (OWN if TRITON in kernel else kernel)


def test_every_card_names_a_kernel_for_all_options() -> None:
    assert all(card.kernels[-1].options == () for card in CARDS.values())
    for cell in describe_cells():
        names = set(cell["options"]["properties"])
        assert all(set(row.get("options", {})) <= names for row in cell["kernels"])
