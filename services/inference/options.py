"""What a caller may choose about sequences that a model writes. Knows no model."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_LENGTH = 100_000  # symbols or steps that one answer may have
SAMPLING = ("temperature", "top_k", "top_p", "seed")


class Options(BaseModel):
    """How to write sequences; models that write none take no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_length: Annotated[int, Field(ge=1, le=MAX_LENGTH)] | None = None
    """Symbols or steps to write at most; default: as many as the longest target of training. Given to a model
    that predicts the next symbol, the input is continued by so many."""
    temperature: Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)] | None = None
    """Draw symbols at random: 1 as likely as the model finds them, less for safer ones."""
    top_k: Annotated[int, Field(ge=1)] | None = None
    """Draw among so many likeliest symbols."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw among the likeliest symbols that together have this probability."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Decides what is drawn; the same seed gives the same sequences."""
    beam_size: Annotated[int, Field(ge=1, le=64)] = 1
    """Sequences kept in view at each step; 1 takes the likeliest symbol each time."""

    @property
    def samples(self) -> bool:
        """Whether symbols are drawn; otherwise the likeliest are taken."""
        return any(getattr(self, name) is not None for name in SAMPLING)

    @property
    def chosen(self) -> list[str]:
        """Names of the options that differ from their defaults."""
        return [
            n for n, field in type(self).model_fields.items() if getattr(self, n) != field.default
        ]

    @model_validator(mode="after")
    def _one_way_of_writing(self) -> Self:
        if self.samples and self.beam_size > 1:
            raise ValueError(
                "beam_size looks for the likeliest sequence, while temperature, top_k, top_p and "
                "seed draw one at random: give one or the other"
            )
        return self


Stop = Annotated[str, Field(min_length=1, max_length=200)]


class GenerateOptions(Options):
    """How to write one sequence, which may be shown while it is written."""

    stop: Annotated[tuple[Stop, ...], Field(max_length=16)] = ()
    """Texts, or symbols where the data has lists of them, before the first of which the answer ends."""

    @model_validator(mode="after")
    def _no_beams(self) -> Self:
        if self.beam_size > 1:
            raise ValueError(
                "a beam search knows its sequence only at the end: leave beam_size out, or predict"
            )
        return self
