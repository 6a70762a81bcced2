"""What a network is asked to be: cells, depth, direction, mapping. Imports no torch."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

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


Activation = Literal["tanh", "sigmoid", "relu"]


class ElmanSpec(Spec):
    type: Literal["elman"] = "elman"
    activation: Activation = "tanh"


class JordanSpec(Spec):
    type: Literal["jordan"] = "jordan"
    activation: Activation = "tanh"
    """Of the hidden units."""
    output_activation: Literal["tanh", "sigmoid", "identity"] = "tanh"
    """Of the output units, which are fed back and handed on."""


class LstmSpec(Spec):
    type: Literal["lstm"] = "lstm"
    peephole: bool = False
    """Whether the gates see the cell state."""
    coupled_gates: bool = False
    """Whether the forget gate is one minus the input gate."""
    forget_bias: Annotated[float, Field(ge=-20, le=20)] = 1.0
    """Initial bias of the forget gate."""


class GruSpec(Spec):
    type: Literal["gru"] = "gru"
    reset_after: bool = True
    """Whether the reset gate acts after the recurrent product, as in cuDNN and torch.nn.GRU."""


class MguSpec(Spec):
    type: Literal["mgu"] = "mgu"


class MinGruSpec(Spec):
    type: Literal["mingru"] = "mingru"


class MinLstmSpec(Spec):
    type: Literal["minlstm"] = "minlstm"
    forget_bias: Annotated[float, Field(ge=-20, le=20)] = 1.0
    """Initial bias of the forget gate."""


AnyCell = (
    ElmanSpec | JordanSpec | LstmSpec | GruSpec | MguSpec | MinGruSpec | MinLstmSpec
)  # a new cell is one more name here, one below
CELL_SPECS: dict[str, type[Spec]] = {
    "elman": ElmanSpec,
    "jordan": JordanSpec,
    "lstm": LstmSpec,
    "gru": GruSpec,
    "mgu": MguSpec,
    "mingru": MinGruSpec,
    "minlstm": MinLstmSpec,
}
WITHOUT_RECURRENT_PRODUCT = frozenset({"mingru", "minlstm"})  # their gates see the input alone


def _expand_cell(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


CellSpec = Annotated[
    Annotated[AnyCell, Field(discriminator="type")],
    BeforeValidator(_expand_cell),
]


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_HIDDEN_SIZE


def _checked_units(value: Any) -> int | tuple[int, ...]:
    """One number, or one for each layer; a validator of its own, so that faults name the field."""
    if _is_size(value):
        return int(value)
    is_list = isinstance(value, list | tuple) and 1 <= len(value) <= MAX_LAYERS
    if is_list and all(_is_size(size) for size in value):
        return tuple(value)
    raise ValueError(
        f"use a whole number from 1 to {MAX_HIDDEN_SIZE}, or a list of one for each layer"
    )


def _units_as_json(units: int | tuple[int, ...]) -> int | list[int]:
    return units if isinstance(units, int) else list(units)


_SIZE_SCHEMA = {"type": "integer", "minimum": 1, "maximum": MAX_HIDDEN_SIZE}
_LIST_SCHEMA = {"type": "array", "items": _SIZE_SCHEMA, "minItems": 1, "maxItems": MAX_LAYERS}
Units = Annotated[
    int | tuple[int, ...],
    PlainValidator(_checked_units),
    PlainSerializer(_units_as_json),
    WithJsonSchema({"anyOf": [_SIZE_SCHEMA, _LIST_SCHEMA]}),
]


class NetworkSpec(Spec):
    cell: CellSpec
    """The recurrent cell; a bare name is short for `{"type": name}`."""
    hidden_size: Units = 128
    """Units of a layer and direction: one number, or a list of one for each layer."""
    num_layers: Annotated[int, Field(ge=1, le=MAX_LAYERS)] = 1
    """Depth; by default as many layers as `hidden_size` lists."""
    bidirectional: bool = False
    """Whether each layer also reads the sequence from its end."""
    merge: Merge = Merge.CONCAT
    """How two directions become one output; matters only when bidirectional."""
    embedding_size: Annotated[int, Field(ge=1, le=MAX_HIDDEN_SIZE)] | None = None
    """Width of a symbol's vector; symbolic inputs only (default: chosen from the vocabulary)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance to drop a unit of a layer's output, on its way to the next layer or to the head."""
    recurrent_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance to drop a unit of the state on its way into the recurrent product; one mask a sequence."""
    layer_norm: bool = False
    """Whether the gates' pre-activations are normalised (Ba et al. 2016)."""
    residual: bool = False
    """Whether each layer from the second on adds its input to its output."""
    readout: Readout = Readout.LAST
    """How many_to_one reads the sequence."""
    attention: Attention = Attention.NONE
    """How a decoder looks at the steps of the input; encoder_decoder only."""
    condition: Condition = Condition.INITIAL
    """Where a decoder gets the condition, or the encoder's end; generated sequences only."""

    @model_validator(mode="before")
    @classmethod
    def _depth_from_sizes(cls, value: Any) -> Any:
        if isinstance(value, dict) and "num_layers" not in value:
            sizes = value.get("hidden_size")
            if isinstance(sizes, list | tuple) and 1 <= len(sizes) <= MAX_LAYERS:
                return {**value, "num_layers": len(sizes)}
        return value

    @field_validator("num_layers")
    @classmethod
    def _one_size_a_layer(cls, depth: int, info: ValidationInfo) -> int:
        sizes = info.data.get("hidden_size")
        if isinstance(sizes, tuple) and len(sizes) != depth:
            raise ValueError(f"hidden_size lists {len(sizes)} layers; leave num_layers out")
        return depth

    @field_validator("recurrent_dropout")
    @classmethod
    def _has_a_recurrent_product(cls, chance: float, info: ValidationInfo) -> float:
        cell = info.data.get("cell")
        if chance and cell is not None and cell.type in WITHOUT_RECURRENT_PRODUCT:
            raise ValueError(f"the gates of {cell.type} do not see the state; leave it out")
        return chance

    @field_validator("residual")
    @classmethod
    def _can_add(cls, residual: bool, info: ValidationInfo) -> bool:
        if not residual:
            return residual
        sizes = info.data.get("hidden_size", 1)
        if isinstance(sizes, tuple) and len(set(sizes)) > 1:
            raise ValueError("layers of different widths cannot be added; use one hidden_size")
        if info.data.get("num_layers") == 1:
            raise ValueError("one layer has none below to add; use num_layers of 2 or more")
        if info.data.get("bidirectional") and info.data.get("merge") is Merge.MUL:
            raise ValueError("a product of directions is no sum; use merge concat, sum or mean")
        return residual

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of each layer, first to last."""
        if isinstance(self.hidden_size, int):
            return (self.hidden_size,) * self.num_layers
        return self.hidden_size

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Width of what each layer hands on, first to last."""
        both = 2 if self.bidirectional and self.merge is Merge.CONCAT else 1
        return tuple(both * size for size in self.layer_sizes)

    @property
    def output_size(self) -> int:
        """Width of what the last layer hands on."""
        return self.layer_widths[-1]


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
    writes: Literal["symbols", "numbers"] = "symbols"
    """What a step of a generated sequence is."""
    stops: bool = False
    """Whether the last of the numbers a step gives is the logit of its being the last step."""

    @property
    def encodes(self) -> bool:
        """Whether a sequence is read before one is written."""
        return self.alignment is Alignment.ENCODER_DECODER

    @property
    def generates(self) -> bool:
        """Whether the output is a sequence of its own length, written step by step."""
        return self.encodes or self.mapping is Mapping.ONE_TO_MANY

    @property
    def num_values(self) -> int:
        """Numbers of a step that a decoder writes, and reads at the next one."""
        return self.output_size - self.stops


def default_embedding_size(vocabulary_size: int) -> int:
    """Wide enough to tell the symbols apart, narrow enough to stay cheap."""
    return min(64, max(4, (vocabulary_size + 1) // 2))
