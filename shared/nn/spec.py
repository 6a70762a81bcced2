"""What a network is asked to be: cells, depth, direction, mapping. Imports no torch."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_HIDDEN_SIZE = 16_384
MAX_LAYERS = 64


class Spec(BaseModel):
    """A frozen wish; unknown fields are refused, so that no option is ever ignored."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Mapping(StrEnum):
    """The shape of a sequence task."""

    ONE_TO_ONE = "one_to_one"  # a vector in, a vector out: no sequence
    ONE_TO_MANY = "one_to_many"  # a condition in, a generated sequence out
    MANY_TO_ONE = "many_to_one"  # a sequence in, one label or vector out
    MANY_TO_MANY = "many_to_many"  # a sequence in, a sequence out


class Alignment(StrEnum):
    """How the two sequences of many_to_many relate."""

    ALIGNED = "aligned"  # one output for each input step
    ENCODER_DECODER = "encoder_decoder"  # the whole input first, then an output of its own length


class Merge(StrEnum):
    """How the two directions of a layer become one output."""

    CONCAT = "concat"  # 2H wide
    SUM = "sum"  # H wide
    MEAN = "mean"  # H wide
    MUL = "mul"  # H wide, element-wise product


class Readout(StrEnum):
    """How many_to_one reads a sequence of states."""

    LAST = "last"  # forward state after the last element, backward state after the first
    MEAN = "mean"  # mean over the real steps
    MAX = "max"  # largest over the real steps, unit by unit
    ATTENTION = "attention"  # mean over the real steps, weighted by a learnt score of each


class Attention(StrEnum):
    """How each step of an encoder_decoder's output looks at the input."""

    NONE = "none"  # not at all: the encoder's end is all that the decoder knows
    ADDITIVE = "additive"  # v · tanh(W query + U key)
    DOT = "dot"  # query · (W key)


class Condition(StrEnum):
    """Where a decoder gets what it is to write about."""

    INITIAL = "initial"  # in its initial state alone
    EVERY_STEP = "every_step"  # also beside the symbol that it reads at each step


class ElmanSpec(Spec):
    type: Literal["elman"] = "elman"
    activation: Literal["tanh", "relu"] = "tanh"


class LstmSpec(Spec):
    type: Literal["lstm"] = "lstm"
    forget_bias: Annotated[float, Field(ge=-20, le=20)] = 1.0
    """Initial bias of the forget gate."""


class GruSpec(Spec):
    type: Literal["gru"] = "gru"
    reset_after: Literal[True] = True
    """The reset gate acts after the recurrent product, as in cuDNN and torch.nn.GRU."""


CELL_SPECS: dict[str, type[Spec]] = {"elman": ElmanSpec, "lstm": LstmSpec, "gru": GruSpec}


def _expand_cell(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


CellSpec = Annotated[
    Annotated[ElmanSpec | LstmSpec | GruSpec, Field(discriminator="type")],
    BeforeValidator(_expand_cell),
]


class NetworkSpec(Spec):
    cell: CellSpec
    """The recurrent cell; a bare name is short for `{"type": name}`."""
    hidden_size: Annotated[int, Field(ge=1, le=MAX_HIDDEN_SIZE)] = 128
    """Units of a layer and direction."""
    num_layers: Annotated[int, Field(ge=1, le=MAX_LAYERS)] = 1
    """Depth."""
    bidirectional: bool = False
    """Whether each layer also reads the sequence from its end."""
    merge: Merge = Merge.CONCAT
    """How two directions become one output; matters only when bidirectional."""
    embedding_size: Annotated[int, Field(ge=1, le=MAX_HIDDEN_SIZE)] | None = None
    """Width of a symbol's vector; symbolic inputs only (default: chosen from the vocabulary)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance to drop a unit of a layer's output, on its way to the next layer or to the head."""
    readout: Readout = Readout.LAST
    """How many_to_one reads the sequence."""
    attention: Attention = Attention.NONE
    """How a decoder looks at the steps of the input; encoder_decoder only."""
    condition: Condition = Condition.INITIAL
    """Where a decoder gets the condition, or the encoder's end; generated sequences only."""

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Width of what a layer hands on."""
        if self.bidirectional and self.merge is Merge.CONCAT:
            return 2 * self.hidden_size
        return self.hidden_size


class Shape(Spec):
    """What a network has to fit: the data side of its size."""

    mapping: Mapping
    alignment: Alignment | None = None
    """many_to_many only."""
    input_kind: Literal["tokens", "numeric"]
    input_size: int
    """Symbols of the vocabulary, or features of a step."""
    output_size: int
    """Classes, labels or values of one output; symbols of a generated sequence."""

    @property
    def encodes(self) -> bool:
        """Whether a sequence is read before one is written."""
        return self.alignment is Alignment.ENCODER_DECODER

    @property
    def generates(self) -> bool:
        """Whether the output is a sequence of its own length, written symbol by symbol."""
        return self.encodes or self.mapping is Mapping.ONE_TO_MANY


def default_embedding_size(vocabulary_size: int) -> int:
    """Wide enough to tell the symbols apart, narrow enough to stay cheap."""
    return min(64, max(4, (vocabulary_size + 1) // 2))
