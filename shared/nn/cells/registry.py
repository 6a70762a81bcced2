"""From a cell's spec to the cell: a new cell is a new file and one line here."""

from shared.nn.cells.base import Cell
from shared.nn.cells.elman import ElmanCell
from shared.nn.cells.gru import GruCell
from shared.nn.cells.lstm import LstmCell
from shared.nn.spec import ElmanSpec, GruSpec, LstmSpec, Spec

CELLS: dict[type[Spec], type[ElmanCell] | type[LstmCell] | type[GruCell]] = {
    ElmanSpec: ElmanCell,
    LstmSpec: LstmCell,
    GruSpec: GruCell,
}


def build_cell(spec: Spec, input_size: int, hidden_size: int) -> Cell:
    """A freshly initialised cell; its randomness is torch's global generator."""
    build = CELLS[type(spec)]
    return build(spec, input_size, hidden_size)  # type: ignore[arg-type]
