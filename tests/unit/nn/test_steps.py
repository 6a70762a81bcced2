"""Networks fed one element at a time on numpy arrays, held to their whole-sequence paths."""

from typing import Any

import numpy as np
import pytest
import torch

from shared.nn.network import Network
from shared.nn.steps.cells import MAX_LOOP_ROWS
from shared.nn.steps.network import CannotStep, Stepper
from tests.unit.nn.builders import CELLS, make_input, make_network, make_tokens, randomised

EACH_CELL = pytest.mark.parametrize(
    "cell", CELLS, ids=lambda cell: " ".join(map(str, cell.values()))
)


def made(mapping: str = "many_to_many", **options: Any) -> Network:
    network = make_network(mapping, **options)
    randomised(network)
    return network.eval()


def whole(network: Network, x: torch.Tensor, lengths: torch.Tensor) -> Any:
    with torch.no_grad():
        return network(x, lengths)[0].numpy()


def assert_equal(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("num_rows", [1, MAX_LOOP_ROWS + 2])
@EACH_CELL
def test_steps_of_every_cell_give_what_the_whole_sequence_gives(
    cell: dict[str, Any], num_rows: int, layer_norm: bool
) -> None:
    network = made(cell=cell, layer_norm=layer_norm, num_layers=2)
    x, lengths = make_input(*[7] * num_rows)
    stepper = Stepper(network)
    outputs, _ = stepper.run(list(x.numpy()), stepper.initial_state(num_rows))

    assert_equal(np.stack(outputs), whole(network, x, lengths))


def test_sequences_of_different_lengths_step_together_as_alone() -> None:
    network = made("many_to_one", num_layers=2, residual=True)
    x, lengths = make_input(3, 9, 1, 5)
    sequences = [row[:length].numpy() for row, length in zip(x, lengths, strict=True)]
    stepper = Stepper(network)
    together, state = stepper.run(sequences, stepper.initial_state(4))
    expected = whole(network, x, lengths)

    for row, sequence in enumerate(sequences):
        assert len(together[row]) == len(sequence)
        assert_equal(together[row][-1], expected[row])
        alone, alone_state = stepper.run([sequence], stepper.initial_state())
        assert_equal(together[row], alone[0])
        assert_equal(state[row], alone_state[0])


@pytest.mark.parametrize("readout", ["last", "mean", "max", "attention"])
def test_after_each_element_a_readout_is_that_of_the_elements_so_far(readout: str) -> None:
    network = made("many_to_one", readout=readout)
    x, _ = make_input(6)
    stepper = Stepper(network)
    [outputs], _ = stepper.run([x[0].numpy()], stepper.initial_state())

    for t in range(6):
        assert_equal(outputs[t], whole(network, x[:, : t + 1], torch.tensor([t + 1]))[0])


def test_a_state_goes_on_where_it_was_left() -> None:
    network = made(input_kind="tokens", input_size=7, cell="gru", num_layers=2)
    x, lengths = make_tokens(8)
    stepper = Stepper(network)
    tokens = x[0].numpy()
    first, state = stepper.run([tokens[:3]], stepper.initial_state())
    kept = np.frombuffer(state.tobytes(), state.dtype).reshape(1, stepper.state_size)
    rest, _ = stepper.run([tokens[3:]], kept)

    assert_equal(np.concatenate([first[0], rest[0]]), whole(network, x, lengths)[0])


def test_in_single_precision_a_thousand_steps_stay_within_rounding() -> None:
    network = made(cell="lstm", hidden_size=8).float()
    x = make_input(1000)[0].float()
    stepper = Stepper(network)
    [outputs], _ = stepper.run([x[0].numpy()], stepper.initial_state())

    assert outputs.dtype == np.float32
    expected = whole(network, x, torch.tensor([1000]))[0]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mapping", "options", "words"),
    [("many_to_one", {"bidirectional": True}, "bidirectional"), ("one_to_one", {}, "no sequence")],
)
def test_what_has_no_next_step_is_refused_with_the_reason(
    mapping: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(CannotStep, match=words):
        Stepper(made(mapping, **options))
