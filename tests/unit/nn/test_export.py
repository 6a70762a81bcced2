"""Networks as ONNX: onnxruntime computes what torch does, for every cell, option and length."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from shared.nn.export.network import Units, export
from shared.nn.network import Network
from shared.nn.readout import real_steps
from tests.unit.nn.builders import CELLS, make_input, make_network, make_tokens, randomised

ACTIVATIONS = {
    "categorical": lambda logits: logits.softmax(-1),
    "binary": torch.sigmoid,
    "real": lambda values: values,
}
BY_OPERATOR = ("RNN", "LSTM", "GRU")


def exported(network: Network, kind: str = "real", **scales: Any) -> onnx.ModelProto:
    model = export(network, Units(kind, **scales), {"cell": network.spec.cell.type})
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto, **feeds: np.ndarray) -> Tensor:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    [output] = session.run(None, feeds)
    return torch.from_numpy(output)


def small_network(**wish: Any) -> Network:
    """In 32 bits, with no weight left at its start."""
    network = make_network(**wish)
    randomised(network)
    return network.float().eval()


def check(network: Network, x: Tensor, lengths_B: Tensor, kind: str = "real") -> onnx.ModelProto:
    """Equal to 1e-5 at every real step."""
    x = x.float() if x.is_floating_point() else x
    with torch.inference_mode():
        ours = ACTIVATIONS[kind](network(x, lengths_B)[0])
    model = exported(network, kind)
    theirs = run(model, input=x.numpy(), lengths=lengths_B.numpy())

    assert theirs.shape == ours.shape
    if ours.ndim == 3:
        real_BT1 = real_steps(lengths_B, x.shape[1]).unsqueeze(-1)
        ours, theirs = ours * real_BT1, theirs * real_BT1
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)
    return model


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_cell_in_both_directions_equals_torch(
    cell: dict[str, Any], bidirectional: bool
) -> None:
    network = small_network(
        cell=cell, mapping="many_to_many", bidirectional=bidirectional, num_layers=2
    )
    model = check(network, *make_input(7, 1, 4, 7))

    kinds = {node.op_type for node in model.graph.node}
    has_operator = cell["type"] in ("elman", "lstm", "gru")
    assert bool(kinds & set(BY_OPERATOR)) == has_operator
    assert ("Scan" in kinds) != has_operator


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_normalised_cells_equal_torch(cell: dict[str, Any]) -> None:
    network = small_network(cell=cell, layer_norm=True, bidirectional=True, recurrent_dropout=0.0)

    check(network, *make_input(6, 2, 1))


OPTIONS: list[dict[str, Any]] = [
    {"merge": "sum"},
    {"merge": "mean", "residual": True, "num_layers": 3},
    {"merge": "mul"},
    {"merge": "concat", "residual": True, "num_layers": 2},
    {"hidden_size": [6, 3]},
    {"readout": "mean"},
    {"readout": "max"},
    {"readout": "attention"},
    {"readout": "attention", "bidirectional": False},
    {"bidirectional": False, "residual": True, "num_layers": 2, "dropout": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_of_a_network_equals_torch(options: dict[str, Any]) -> None:
    for cell in ("gru", "mgu"):
        network = small_network(**{"cell": cell, "bidirectional": True, **options})
        check(network, *make_input(5, 1, 3))


@pytest.mark.parametrize("mapping", ["many_to_one", "many_to_many"])
def test_symbols_are_read_as_their_ids(mapping: str) -> None:
    network = small_network(mapping=mapping, input_kind="tokens", input_size=7, embedding_size=3)

    check(network, *make_tokens(6, 1, 3), kind="categorical")


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_the_activation_is_part_of_the_model(kind: str) -> None:
    model = check(small_network(), *make_input(3, 2), kind=kind)

    names = [output.name for output in model.graph.output]
    assert names == ["values" if kind == "real" else "probabilities"]


def test_batch_and_time_are_free_and_one_model_serves_all_sizes() -> None:
    network = small_network(cell="minlstm", mapping="many_to_many", bidirectional=True)
    model = exported(network)
    axes = [axis.dim_param for axis in model.graph.input[0].type.tensor_type.shape.dim]

    assert axes == ["batch", "time", ""]
    for lengths in ((1,), (9, 4), (2, 30, 1, 5)):
        x, lengths_B = make_input(*lengths)
        ours = network(x.float(), lengths_B)[0].detach()
        theirs = run(model, input=x.float().numpy(), lengths=lengths_B.numpy())
        real_BT1 = real_steps(lengths_B, x.shape[1]).unsqueeze(-1)
        torch.testing.assert_close(theirs * real_BT1, ours * real_BT1, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("input_kind", ["numeric", "tokens"])
def test_a_network_without_time_has_no_lengths(input_kind: str) -> None:
    network = small_network(mapping="one_to_one", input_kind=input_kind, num_layers=2)
    x = torch.randn(4, 1, 5) if input_kind == "numeric" else torch.tensor([[1], [4], [2], [0]])
    ours = network(x, torch.ones(4, dtype=torch.int64))[0].detach()

    theirs = run(exported(network), input=x[:, 0].numpy())

    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)


def test_units_of_the_data_are_part_of_the_model() -> None:
    network = small_network(output_size=2)
    mean, std = (3.0, -1.0, 0.5, 100.0, 0.0), (2.0, 5.0, 1.0, 30.0, 0.25)
    x, lengths_B = make_input(4, 2)
    raw = x.float() * torch.tensor(std) + torch.tensor(mean)
    scales = {"input_scale": (mean, std), "output_scale": ((5.0, -7.0), (10.0, 0.5))}

    theirs = run(exported(network, **scales), input=raw.numpy(), lengths=lengths_B.numpy())

    ours = network(x.float(), lengths_B)[0].detach()
    expected = ours * torch.tensor([10.0, 0.5]) + torch.tensor([5.0, -7.0])
    torch.testing.assert_close(theirs, expected, atol=1e-4, rtol=1e-5)


def test_what_is_told_about_a_model_travels_with_it() -> None:
    model = exported(small_network(cell="gru"))

    assert {prop.key: prop.value for prop in model.metadata_props} == {"cell": "gru"}
    assert (model.producer_name, model.opset_import[0].version) == ("unroll", 17)
