"""What is known of every cell before a tensor exists: equation, size, source, kernel. No torch."""

from dataclasses import dataclass
from typing import Any

from shared.nn.spec import (
    CELL_SPECS,
    Attention,
    Condition,
    Mapping,
    NetworkSpec,
    Readout,
    Shape,
    Spec,
    default_embedding_size,
)


@dataclass(frozen=True, slots=True)
class CellCard:
    """A cell described for a person choosing one."""

    title: str
    equation: str
    parameters: str
    """Number of parameters of one layer and direction: I inputs, H units."""
    num_gates: int
    """Blocks of H pre-activations in a step; the parameter count follows from it."""
    num_states: int
    """Vectors of H units that a step hands to the next."""
    reference: str
    kernel: str
    """What computes a whole sequence."""


_TWO_BIASES = "{g}·H·(I + H + 2)"

CARDS: dict[str, CellCard] = {
    "elman": CellCard(
        title="Elman's simple recurrent network",
        equation="h_t = g(W x_t + U h_{t-1} + b),  g = tanh or relu",
        parameters=_TWO_BIASES.format(g=1),
        num_gates=1,
        num_states=1,
        reference="J. L. Elman (1990), Finding structure in time, Cognitive Science 14",
        kernel="torch.nn.RNN",
    ),
    "lstm": CellCard(
        title="Long short-term memory with a forget gate",
        equation=(
            "i, f, o = σ(W x_t + U h_{t-1} + b);  c~ = tanh(W_c x_t + U_c h_{t-1} + b_c);  "
            "c_t = f ⊙ c_{t-1} + i ⊙ c~;  h_t = o ⊙ tanh(c_t)"
        ),
        parameters=_TWO_BIASES.format(g=4),
        num_gates=4,
        num_states=2,
        reference=(
            "S. Hochreiter, J. Schmidhuber (1997), Long short-term memory, Neural Computation 9; "
            "F. Gers, J. Schmidhuber, F. Cummins (2000), Learning to forget, Neural Computation 12"
        ),
        kernel="torch.nn.LSTM",
    ),
    "gru": CellCard(
        title="Gated recurrent unit, reset after the recurrent product",
        equation=(
            "r, z = σ(W x_t + U h_{t-1} + b);  n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + b_u));  "
            "h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}"
        ),
        parameters=_TWO_BIASES.format(g=3),
        num_gates=3,
        num_states=1,
        reference="K. Cho et al. (2014), arXiv:1406.1078; the form of cuDNN and torch.nn.GRU",
        kernel="torch.nn.GRU",
    ),
}


def describe_cells() -> list[dict[str, Any]]:
    """Every cell as `GET /v1/cells` shows it."""
    return [_describe(name, spec, CARDS[name]) for name, spec in CELL_SPECS.items()]


def _describe(name: str, spec: type[Spec], card: CellCard) -> dict[str, Any]:
    return {
        "object": "cell",
        "type": name,
        "title": card.title,
        "equation": card.equation,
        "parameters": card.parameters,
        "num_gates": card.num_gates,
        "num_states": card.num_states,
        "reference": card.reference,
        "streams": True,  # a step needs nothing but the state before it
        "kernel": card.kernel,
        "options": spec.model_json_schema(),
    }


def kernel_of(spec: NetworkSpec, mapping: Mapping | None = None) -> str:
    """What computes the layers; one_to_one has no sequence and therefore no cell."""
    return "torch.nn.Linear" if mapping is Mapping.ONE_TO_ONE else CARDS[spec.cell.type].kernel


def embedding_size(network: NetworkSpec, shape: Shape) -> int:
    """Width of a layer-0 input: the embedding of a symbol, or the features of a step."""
    return shape.input_size if shape.input_kind == "numeric" else symbol_size(network, shape)


def symbol_size(network: NetworkSpec, shape: Shape) -> int:
    """Width of a symbol's vector, the same for symbols that are read and that are written."""
    read = shape.input_size if shape.input_kind == "tokens" else 0
    generated = shape.output_size if shape.generates else 0
    return network.embedding_size or default_embedding_size(max(read, generated))


def num_parameters(network: NetworkSpec, shape: Shape) -> int:
    """Trainable numbers of the whole network: embedding, layers, head, and what stands between."""
    width = embedding_size(network, shape)
    embedding = width * shape.input_size if shape.input_kind == "tokens" else 0
    if shape.generates:
        encoder = _stack_parameters(network, width) if shape.encodes else 0
        return embedding + encoder + _decoder_parameters(network, shape)
    layers = (
        sum((size + 1) * network.hidden_size for size in layer_inputs(network, width))
        if shape.mapping is Mapping.ONE_TO_ONE
        else _stack_parameters(network, width)
    )
    pool = network.output_size * (network.output_size + 2)
    pools = shape.mapping is Mapping.MANY_TO_ONE and network.readout is Readout.ATTENTION
    head = (network.output_size + 1) * shape.output_size
    return embedding + layers + pools * pool + head


def _stack_parameters(network: NetworkSpec, width: int) -> int:
    return sum(
        network.num_directions * layer_parameters(network, size)
        for size in layer_inputs(network, width)
    )


def summary_size(network: NetworkSpec, shape: Shape) -> int:
    """Width of what a decoder is told at its start: the encoder's end, or the condition."""
    return network.output_size if shape.encodes else embedding_size(network, shape)


def decoder_spec(network: NetworkSpec) -> NetworkSpec:
    """The layers that write a sequence: as those that read, but forward alone."""
    return network.model_copy(update={"bidirectional": False})


def decoder_input_size(network: NetworkSpec, shape: Shape) -> int:
    """Width of what a decoder reads at a step: its last symbol, and the condition if asked."""
    told = summary_size(network, shape) if network.condition is Condition.EVERY_STEP else 0
    return symbol_size(network, shape) + told


def _decoder_parameters(network: NetworkSpec, shape: Shape) -> int:
    decoder, summary = decoder_spec(network), summary_size(network, shape)
    width = decoder.output_size
    states = network.num_layers * CARDS[network.cell.type].num_states * network.hidden_size
    looks = {
        Attention.NONE: 0,
        Attention.ADDITIVE: width * (width + network.output_size + 1),
        Attention.DOT: width * network.output_size,
    }[network.attention]
    mixes = network.attention is not Attention.NONE
    return (
        (summary + 1) * states
        + symbol_size(network, shape) * shape.output_size
        + _stack_parameters(decoder, decoder_input_size(network, shape))
        + looks
        + mixes * (width + network.output_size + 1) * width
        + (width + 1) * shape.output_size
    )


def layer_inputs(network: NetworkSpec, width: int) -> list[int]:
    """Input width of every layer, first to last."""
    return [width] + [network.output_size] * (network.num_layers - 1)


def layer_parameters(network: NetworkSpec, input_size: int) -> int:
    """Parameters of one direction of one layer."""
    gates = CARDS[network.cell.type].num_gates
    return gates * network.hidden_size * (input_size + network.hidden_size + 2)


def flops_per_element(network: NetworkSpec, shape: Shape) -> int:
    """Floating-point operations to train on one sequence element: forward once, backward twice."""
    return 6 * num_parameters(network, shape)
