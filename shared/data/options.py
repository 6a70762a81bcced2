"""What a person may choose about a dataset. Knows nothing of the data it will meet."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

InputKind = Literal["auto", "sequence", "category", "vector"]
TargetKind = Literal[
    "auto", "class", "regression", "tags", "values", "multilabel", "text", "series"
]

TABLES_ONLY = (
    "input_column",
    "input_columns",
    "target_column",
    "group_column",
    "window",
    "horizon",
    "stride",
)
_WINDOW_ONLY = ("horizon", "stride")


class DatasetOptions(BaseModel):
    """How to read, split and encode a dataset; every field has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: Literal["char", "word"] | None = None  # how text is split; None: by character
    input_kind: InputKind = "auto"  # "auto": a sequence; a category or vector has no time axis
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)  # shares of train, val, test
    seed: int = Field(default=0, ge=0, le=2**63 - 1)  # of the shuffle before the split
    target_kind: TargetKind = "auto"  # "auto": from the form of the targets
    target_tokens: Literal["char", "word"] | None = None  # how a text target is split; None: char
    min_count: int = Field(default=1, ge=1)  # rarer symbols of the train split become <unk>
    max_length: int | None = Field(default=None, ge=1)  # longer records are left out

    # of tables, which are csv files and parquet files of plain columns
    input_column: str | None = None  # the column whose text is the input of a row
    input_columns: tuple[str, ...] | None = Field(default=None, min_length=1)  # numeric ones
    target_column: str | None = None  # what to predict
    group_column: str | None = None  # rows of equal groups go to one split, no window has two
    window: int | None = Field(default=None, ge=1)  # rows in one input
    horizon: int = Field(default=1, ge=1)  # rows ahead that a window predicts
    stride: int = Field(default=1, ge=1)  # rows between the starts of two windows

    @model_validator(mode="after")
    def _shares_are_a_whole(self) -> Self:
        if not all(math.isfinite(share) and share >= 0 for share in self.split):
            raise ValueError("split: each share must be 0 or more")
        if self.split[0] == 0:
            raise ValueError("split: the train share must be above 0")
        if not math.isclose(sum(self.split), 1.0, abs_tol=1e-6):
            raise ValueError(f"split: the shares must sum to 1, these sum to {sum(self.split):g}")
        return self

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if self.input_column is not None and self.input_columns is not None:
            raise ValueError("input_column (text) and input_columns (numbers) exclude each other")
        if self.input_column is not None and self.window is not None:
            raise ValueError("window cuts numeric columns: use input_columns, not input_column")
        if self.window is None:
            for name in _WINDOW_ONLY:
                if getattr(self, name) != 1:
                    raise ValueError(f"{name} needs window, the number of rows in one input")
        return self

    @model_validator(mode="after")
    def _kinds_agree(self) -> Self:
        timeless = self.input_kind in ("category", "vector")
        if timeless and self.tokens is not None:
            raise ValueError(f"tokens splits text, and a {self.input_kind} is none: leave it out")
        if timeless and self.window is not None:
            raise ValueError(f"window cuts series, and a {self.input_kind} is none: leave it out")
        if self.target_tokens is not None and self.target_kind != "text":
            raise ValueError("target_tokens needs target_kind text, a sequence to be generated")
        return self

    def chosen(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `names` that differ from their defaults."""
        fields = type(self).model_fields
        return tuple(name for name in names if getattr(self, name) != fields[name].default)
