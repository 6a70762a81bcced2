"""What is known of every cell before a tensor exists: equation, size, source, kernel. No torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.nn.kernels.limits import (
    WALKED_UP_TO,
    gru_compiles_up_to,
    has_triton,
    lstm_compiles_up_to,
    options_compile_up_to,
)
from shared.nn.spec import (
    CELL_SPECS,
    MAX_HIDDEN_SIZE,
    WITHOUT_RECURRENT_PRODUCT,
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
class Size:
    """What the parameters of one layer and direction follow from: I inputs, H units."""

    gates: int
    """Blocks of H pre-activations in a step."""
    recurrent: bool = True
    """Whether the gates see the state."""
    biases: int = 1
    vectors: int = 0
    """Further parameters of H numbers, as peepholes are."""
    squares: int = 0
    """Further parameters of H × H numbers."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What computes a whole sequence of a cell with some options."""

    cpu: str
    cuda: str
    """On a GPU."""
    options: tuple[tuple[str, Any], ...] = ()
    compiled_up_to: Callable[[Any], int] = lambda cell: 0
    """Units up to which compiled loops take its place on a CPU."""
    triton_up_to: int = 0
    """Units up to which ours in Triton takes its place on a GPU, where Triton is installed."""

    def fits(self, cell: Spec) -> bool:
        return all(getattr(cell, name) == value for name, value in self.options)

    def on_cpu(self, cell: Spec, units: int) -> str:
        return COMPILED if units <= self.compiled_up_to(cell) else self.cpu

    def on_cuda(self, units: int) -> str:
        return TRITON if has_triton() and units <= self.triton_up_to else self.cuda


COMPILED = "unroll.compiled"  # a loop over time that numba compiles
TRITON = "unroll.triton"  # whole sequences on a GPU, compiled by Triton
OWN = "unroll.kernels"  # torch operations with a derivative written by hand


@dataclass(frozen=True, slots=True)
class CellCard:
    """A cell described for a person choosing one."""

    title: str
    equation: str
    parameters: str
    """Number of parameters of one layer and direction, without layer normalisation."""
    num_states: int
    """Vectors of H units that a step hands to the next."""
    reference: str
    size: Callable[[Any], Size]
    """From the cell's spec."""
    kernels: tuple[Kernel, ...]
    """What computes a whole sequence: the first whose options fit; the last fits all."""


PLAIN = "unroll.cells"  # a loop of torch operations, step after step


def _lstm_size(cell: Any) -> Size:
    gates = 3 if cell.coupled_gates else 4
    return Size(gates, biases=2, vectors=(gates - 1) * cell.peephole)


CARDS: dict[str, CellCard] = {
    "elman": CellCard(
        title="Elman's simple recurrent network",
        equation="h_t = g(W x_t + U h_{t-1} + b),  g = tanh, σ or relu",
        parameters="H·(I + H + 2)",
        num_states=1,
        reference="J. L. Elman (1990), Finding structure in time, Cognitive Science 14",
        size=lambda cell: Size(1, biases=2),
        kernels=(Kernel(OWN, "torch.nn.RNN"),),
    ),
    "jordan": CellCard(
        title="Jordan's network, which feeds its output back",
        equation="h_t = g(W x_t + U y_{t-1} + b);  y_t = k(V h_t + d)",
        parameters="H·(I + 2·H + 2)",
        num_states=1,
        reference=(
            "M. I. Jordan (1986), Attractor dynamics and parallelism in a connectionist "
            "sequential machine, Proceedings of the Cognitive Science Society 8"
        ),
        size=lambda cell: Size(1, vectors=1, squares=1),
        kernels=(Kernel(OWN, OWN, triton_up_to=WALKED_UP_TO),),
    ),
    "lstm": CellCard(
        title="Long short-term memory with a forget gate",
        equation=(
            "i, f, o = σ(W x_t + U h_{t-1} + b);  c~ = tanh(W_c x_t + U_c h_{t-1} + b_c);  "
            "c_t = f ⊙ c_{t-1} + i ⊙ c~;  h_t = o ⊙ tanh(c_t);  with peepholes i and f also see "
            "p ⊙ c_{t-1}, and o sees p_o ⊙ c_t;  with coupled gates f = 1 - i"
        ),
        parameters=("g·H·(I + H + 2),  g = 4, or 3 with coupled gates;  peepholes add (g - 1)·H"),
        num_states=2,
        reference=(
            "S. Hochreiter, J. Schmidhuber (1997), Long short-term memory, Neural Computation 9; "
            "F. Gers, J. Schmidhuber, F. Cummins (2000), Learning to forget, Neural Computation 12; "
            "peepholes: F. Gers, J. Schmidhuber (2000), Recurrent nets that time and count, IJCNN; "
            "coupled gates: K. Greff et al. (2017), LSTM: a search space odyssey, arXiv:1503.04069"
        ),
        size=_lstm_size,
        kernels=(
            Kernel(OWN, OWN, (("peephole", True),), lstm_compiles_up_to, WALKED_UP_TO),
            Kernel("torch.nn.LSTM", "torch.nn.LSTM", (), lstm_compiles_up_to),
        ),
    ),
    "gru": CellCard(
        title="Gated recurrent unit, reset after or before the recurrent product",
        equation=(
            "r, z = σ(W x_t + U h_{t-1} + b);  n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + b_u));  "
            "h_t = (1 - z) ⊙ n + z ⊙ h_{t-1};  with reset_after false "
            "n = tanh(W_n x_t + U_n (r ⊙ h_{t-1}) + b_n);  h_t = z ⊙ n + (1 - z) ⊙ h_{t-1}"
        ),
        parameters="3·H·(I + H + 2)",
        num_states=1,
        reference=(
            "K. Cho et al. (2014), arXiv:1406.1078; J. Chung et al. (2014), arXiv:1412.3555; "
            "reset after: the form of cuDNN and torch.nn.GRU"
        ),
        size=lambda cell: Size(3, biases=2),
        kernels=(
            Kernel(OWN, OWN, (("reset_after", False),), triton_up_to=WALKED_UP_TO),
            Kernel(OWN, "torch.nn.GRU", (), gru_compiles_up_to),
        ),
    ),
    "mgu": CellCard(
        title="Minimal gated unit",
        equation=(
            "f = σ(W x_t + U h_{t-1} + b);  n = tanh(W_n x_t + U_n (f ⊙ h_{t-1}) + b_n);  "
            "h_t = (1 - f) ⊙ h_{t-1} + f ⊙ n"
        ),
        parameters="2·H·(I + H + 1)",
        num_states=1,
        reference="G.-B. Zhou et al. (2016), Minimal gated unit for RNNs, arXiv:1603.09420",
        size=lambda cell: Size(2),
        kernels=(Kernel(OWN, OWN, triton_up_to=WALKED_UP_TO),),
    ),
    "mingru": CellCard(
        title="minGRU, whose gate sees the input alone",
        equation="z = σ(W x_t + b);  h_t = (1 - z) ⊙ h_{t-1} + z ⊙ (W_n x_t + b_n)",
        parameters="2·H·(I + 1)",
        num_states=1,
        reference="L. Feng et al. (2024), Were RNNs all we needed?, arXiv:2410.01201",
        size=lambda cell: Size(2, recurrent=False),
        kernels=(Kernel(OWN, OWN, triton_up_to=MAX_HIDDEN_SIZE),),
    ),
    "minlstm": CellCard(
        title="minLSTM, whose gates see the input alone and sum to one",
        equation=("i, f = σ(W x_t + b);  h_t = f/(f + i) ⊙ h_{t-1} + i/(f + i) ⊙ (W_n x_t + b_n)"),
        parameters="3·H·(I + 1)",
        num_states=1,
        reference="L. Feng et al. (2024), Were RNNs all we needed?, arXiv:2410.01201",
        size=lambda cell: Size(3, recurrent=False),
        kernels=(Kernel(OWN, OWN, triton_up_to=MAX_HIDDEN_SIZE),),
    ),
}


def describe_cells() -> list[dict[str, Any]]:
    """Every cell as `GET /v1/cells` shows it."""
    return [_describe(name, spec, CARDS[name]) for name, spec in CELL_SPECS.items()]


def _describe(name: str, spec: type[Spec], card: CellCard) -> dict[str, Any]:
    usual = spec()
    return {
        "object": "cell",
        "type": name,
        "title": card.title,
        "equation": card.equation,
        "parameters": card.parameters,
        "num_gates": card.size(usual).gates,
        "num_states": card.num_states,
        "reference": card.reference,
        "streams": True,  # a step needs nothing but the state before it
        "recurrent_dropout": name not in WITHOUT_RECURRENT_PRODUCT,
        "kernel": _kernel(card, usual).on_cpu(usual, NetworkSpec(cell=usual).layer_sizes[0]),
        "kernels": [
            *(
                {
                    "options": dict(row.options),
                    "cpu": row.cpu,
                    "cuda": row.cuda,
                    "compiled_up_to": row.compiled_up_to(spec(**dict(row.options))),
                    "triton_up_to": row.triton_up_to,
                }
                for row in card.kernels
            ),
            *(
                {
                    "network": [option],
                    "cpu": PLAIN,
                    "cuda": PLAIN,
                    "compiled_up_to": options_compile_up_to(usual, [option]),
                }
                for option in PLAIN_OPTIONS
            ),
        ],
        "options": spec.model_json_schema(),
    }


PLAIN_OPTIONS = ("layer_norm", "recurrent_dropout")  # of the network; few kernels know them


def kernel_of(spec: NetworkSpec, device: str = "cpu", mapping: Mapping | None = None) -> str:
    """What computes the layers of a training; of two kernels, the lower layers' comes first.

    one_to_one has no sequence and therefore no cell.
    """
    if mapping is Mapping.ONE_TO_ONE:
        return "torch.nn.Linear"
    options = [option for option in PLAIN_OPTIONS if getattr(spec, option)]
    if options:
        compiles = device == "cpu" and options_compile_up_to(spec.cell, options)
        return COMPILED if compiles else PLAIN
    kernel = _kernel(CARDS[spec.cell.type], spec.cell)
    names = (
        kernel.on_cuda(units) if device == "cuda" else kernel.on_cpu(spec.cell, units)
        for units in spec.layer_sizes
    )
    return ", ".join(dict.fromkeys(names))


def _kernel(card: CellCard, cell: Spec) -> Kernel:
    return next(kernel for kernel in card.kernels if kernel.fits(cell))


def num_gates(network: NetworkSpec) -> int:
    """Blocks of H pre-activations in a step of one layer and direction."""
    return CARDS[network.cell.type].size(network.cell).gates


def embedding_size(network: NetworkSpec, shape: Shape) -> int:
    """Width of a layer-0 input: the embedding of a symbol, or the features of a step."""
    return shape.input_size if shape.input_kind == "numeric" else symbol_size(network, shape)


def symbol_size(network: NetworkSpec, shape: Shape) -> int:
    """Width of a symbol's vector, the same for symbols that are read and that are written."""
    read = shape.input_size if shape.input_kind == "tokens" else 0
    generated = shape.output_size if shape.generates and shape.writes == "symbols" else 0
    return network.embedding_size or default_embedding_size(max(read, generated))


def num_parameters(network: NetworkSpec, shape: Shape) -> int:
    """Trainable numbers of the whole network: embedding, layers, head, and what stands between."""
    width = embedding_size(network, shape)
    embedding = width * shape.input_size if shape.input_kind == "tokens" else 0
    if shape.generates:
        encoder = _stack_parameters(network, width) if shape.encodes else 0
        return embedding + encoder + _decoder_parameters(network, shape)
    layers = (
        _dense_parameters(network, width)
        if shape.mapping is Mapping.ONE_TO_ONE
        else _stack_parameters(network, width)
    )
    pool = network.output_size * (network.output_size + 2)
    pools = shape.mapping is Mapping.MANY_TO_ONE and network.readout is Readout.ATTENTION
    head = (network.output_size + 1) * shape.output_size
    return embedding + layers + pools * pool + head


def _stack_parameters(network: NetworkSpec, width: int) -> int:
    sizes = zip(layer_inputs(network, width), network.layer_sizes, strict=True)
    return sum(network.num_directions * layer_parameters(network, *size) for size in sizes)


def _dense_parameters(network: NetworkSpec, width: int) -> int:
    sizes = zip(layer_inputs(network, width), network.layer_sizes, strict=True)
    return sum((below + 1) * units for below, units in sizes)


def summary_size(network: NetworkSpec, shape: Shape) -> int:
    """Width of what a decoder is told at its start: the encoder's end, or the condition."""
    return network.output_size if shape.encodes else embedding_size(network, shape)


def decoder_spec(network: NetworkSpec) -> NetworkSpec:
    """The layers that write a sequence: as those that read, but forward alone."""
    return network.model_copy(update={"bidirectional": False})


def decoder_input_size(network: NetworkSpec, shape: Shape) -> int:
    """Width of what a decoder reads at a step: what it wrote last, and the condition if asked."""
    told = summary_size(network, shape) if network.condition is Condition.EVERY_STEP else 0
    own = symbol_size(network, shape) if shape.writes == "symbols" else shape.num_values
    return own + told


def _decoder_parameters(network: NetworkSpec, shape: Shape) -> int:
    decoder, summary = decoder_spec(network), summary_size(network, shape)
    width = decoder.output_size
    states = CARDS[network.cell.type].num_states * sum(decoder.layer_sizes)
    looks = {
        Attention.NONE: 0,
        Attention.ADDITIVE: width * (width + network.output_size + 1),
        Attention.DOT: width * network.output_size,
    }[network.attention]
    mixes = network.attention is not Attention.NONE
    return (
        (summary + 1) * states
        + (shape.writes == "symbols") * symbol_size(network, shape) * shape.output_size
        + _stack_parameters(decoder, decoder_input_size(network, shape))
        + looks
        + mixes * (width + network.output_size + 1) * width
        + (width + 1) * shape.output_size
    )


def layer_inputs(network: NetworkSpec, width: int) -> list[int]:
    """Input width of every layer, first to last."""
    return [width, *network.layer_widths[:-1]]


def layer_parameters(network: NetworkSpec, input_size: int, hidden_size: int) -> int:
    """Parameters of one direction of one layer."""
    size = CARDS[network.cell.type].size(network.cell)
    gate = input_size + size.recurrent * hidden_size + size.biases
    vectors = size.vectors
    if network.layer_norm:  # gains of each share of each gate; gain and bias of each cell state
        vectors += size.gates * (1 + size.recurrent)
        vectors += 2 * (CARDS[network.cell.type].num_states - 1)
    return hidden_size * (size.gates * gate + vectors + size.squares * hidden_size)


def flops_per_element(network: NetworkSpec, shape: Shape) -> int:
    """Floating-point operations to train on one sequence element: forward once, backward twice."""
    return 6 * num_parameters(network, shape)
