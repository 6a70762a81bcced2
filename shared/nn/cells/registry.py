"""From a cell's spec to the cell: a new cell is a new file and one line here."""

from collections.abc import Callable
from typing import Any

from shared.nn.cells.base import Cell, CellOptions
from shared.nn.cells.elman import ElmanCell
from shared.nn.cells.gru import GruCell
from shared.nn.cells.jordan import JordanCell
from shared.nn.cells.lstm import LstmCell
from shared.nn.cells.mgu import MguCell
from shared.nn.cells.mingru import MinGruCell
from shared.nn.cells.minlstm import MinLstmCell
from shared.nn.spec import (
    ElmanSpec,
    GruSpec,
    JordanSpec,
    LstmSpec,
    MguSpec,
    MinGruSpec,
    MinLstmSpec,
    Spec,
)

CELLS: dict[type[Spec], Callable[[Any, int, int, CellOptions], Cell]] = {
    ElmanSpec: ElmanCell,
    JordanSpec: JordanCell,
    LstmSpec: LstmCell,
    GruSpec: GruCell,
    MguSpec: MguCell,
    MinGruSpec: MinGruCell,
    MinLstmSpec: MinLstmCell,
}


def build_cell(spec: Spec, input_size: int, hidden_size: int, options: CellOptions) -> Cell:
    """A freshly initialised cell; its randomness is torch's global generator."""
    return CELLS[type(spec)](spec, input_size, hidden_size, options)
