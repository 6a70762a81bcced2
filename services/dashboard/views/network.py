"""The unrolled network as a drawing: where boxes, arrows and words go, in SVG units."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from services.dashboard.views import words

PITCH_X, PITCH_Y = 84, 60
BOX_W, BOX_H = 46, 28
MARGIN = 24
MAX_ROWS = 3
GAP = "…"


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read and written at each step that is drawn; an empty text is nothing."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def steps(self) -> int:
        return len(self.inputs)


XS, YS = ("x1", "x2", GAP, "xT"), ("y1", "y2", GAP, "yT")
SHAPES: dict[str, Columns] = {
    "one_to_one": Columns(("x",), ("y",)),
    "one_to_many": Columns(("x", "y1", GAP, "yT-1"), YS),  # an output is the next input
    "many_to_one": Columns(XS, ("", "", "", "y")),
    "many_to_many": Columns(XS, YS),
    "encoder_decoder": Columns(("x1", GAP, "xT", "", "y1", GAP), ("", "", "", "y1", "y2", GAP)),
}


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    text: str
    kind: str
    """cell, input, output or pool."""
    width: float = BOX_W


@dataclass(frozen=True, slots=True)
class Arrow:
    x1: float
    y1: float
    x2: float
    y2: float
    kind: str = "flow"
    """flow, or back: the backward direction."""


@dataclass(slots=True)
class Drawing:
    width: float
    height: float
    title: str
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)


def draw(spec: dict[str, Any]) -> Drawing:
    network, columns = spec["network"], _columns(spec)
    layers = _layers(network["num_layers"])
    pools = spec["mapping"] == "many_to_one" and network["readout"] != "last"
    rows = len(layers) + 2 + pools
    drawing = Drawing(
        width=2 * MARGIN + (columns.steps - 1) * PITCH_X + BOX_W,
        height=2 * MARGIN + (rows - 1) * PITCH_Y,
        title=title(spec),
    )
    canvas = _Canvas(drawing, columns, layers, pools)
    canvas.layers(network["bidirectional"])
    canvas.inputs()
    if pools:
        canvas.pool(f"{network['readout']} over the steps")
    else:
        canvas.outputs(network["bidirectional"] and spec["mapping"] == "many_to_one")
    return drawing


def title(spec: dict[str, Any]) -> str:
    network = spec["network"]
    kind = f"{network['cell']['type']} layer of {words.units(network['hidden_size'])} units"
    depth = f"1 {kind}" if network["num_layers"] == 1 else _many(network["num_layers"], kind)
    both = f", both directions ({network['merge']})" if network["bidirectional"] else ""
    return f"{depth}{both}; {words.mapping(spec)}"


def _many(num_layers: int, kind: str) -> str:
    return f"{num_layers} {kind.replace('layer', 'layers')} each"


def _columns(spec: dict[str, Any]) -> Columns:
    is_decoder = spec.get("alignment") == "encoder_decoder"
    return SHAPES["encoder_decoder" if is_decoder else spec["mapping"]]


def _layers(num_layers: int) -> list[str]:
    """Names from the first to the last; of a deep stack only its ends."""
    if num_layers <= MAX_ROWS:
        return [f"L{number + 1}" for number in range(num_layers)]
    return ["L1", GAP, f"L{num_layers}"]


class _Canvas:
    """Puts things on rows (0 = inputs, at the bottom) and columns."""

    def __init__(
        self, drawing: Drawing, columns: Columns, layers: list[str], has_pool: bool
    ) -> None:
        self.drawing, self.columns, self.names = drawing, columns, layers
        self.last_row = len(layers) + has_pool

    def x(self, column: int) -> float:
        return MARGIN + BOX_W / 2 + column * PITCH_X

    def y(self, row: int) -> float:
        return self.drawing.height - MARGIN - row * PITCH_Y

    def is_gap(self, column: int) -> bool:
        return GAP in (self.columns.inputs[column], self.columns.outputs[column])

    def boxes(self) -> Iterator[int]:
        return (column for column in range(self.columns.steps) if not self.is_gap(column))

    def layers(self, bidirectional: bool) -> None:
        for row, name in enumerate(self.names, start=1):
            for column in range(self.columns.steps):
                if name == GAP or self.is_gap(column):
                    self.drawing.gaps.append((self.x(column), self.y(row)))
                else:
                    self.drawing.boxes.append(Box(self.x(column), self.y(row), name, "cell"))
            if name != GAP:
                self._along(row, bidirectional)
        for row in range(1, len(self.names)):
            for column in self.boxes():
                self._up(column, row, row + 1)

    def _along(self, row: int, bidirectional: bool) -> None:
        offset = 6 if bidirectional else 0
        for column in range(self.columns.steps - 1):
            left, right = self._edge(column, 1), self._edge(column + 1, -1)
            y = self.y(row)
            self.drawing.arrows.append(Arrow(left, y - offset, right, y - offset))
            if bidirectional:
                self.drawing.arrows.append(Arrow(right, y + offset, left, y + offset, "back"))

    def _edge(self, column: int, side: int) -> float:
        half = 12 if self.is_gap(column) else BOX_W / 2 + 2
        return self.x(column) + side * half

    def _up(self, column: int, row: int, to: int) -> None:
        self._rise(self.x(column), row, to)

    def _rise(self, x: float, row: int, to: int) -> None:
        low, high = self.y(row) - BOX_H / 2 - 1, self.y(to) + BOX_H / 2 + 2
        self.drawing.arrows.append(Arrow(x, low, x, high))

    def inputs(self) -> None:
        for column, text in enumerate(self.columns.inputs):
            self._end(column, text, "input", 0)
            if text not in ("", GAP):
                self._up(column, 0, 1)

    def outputs(self, reads_both_ends: bool) -> None:
        row = self.last_row + 1
        for column, text in enumerate(self.columns.outputs):
            self._end(column, text, "output", row)
            if text not in ("", GAP):
                self._up(column, row - 1, row)
        if reads_both_ends:
            end = self.x(self.columns.steps - 1) - BOX_W / 2 - 2
            start = self.y(row - 1) - BOX_H / 2 - 1
            self.drawing.arrows.append(Arrow(self.x(0), start, end, self.y(row), "back"))

    def _end(self, column: int, text: str, kind: str, row: int) -> None:
        if text == GAP:
            self.drawing.gaps.append((self.x(column), self.y(row)))
        elif text:
            self.drawing.boxes.append(Box(self.x(column), self.y(row), text, kind))

    def pool(self, text: str) -> None:
        row = self.last_row
        first, last = self.x(0), self.x(self.columns.steps - 1)
        middle = (first + last) / 2
        self.drawing.boxes.append(Box(middle, self.y(row), text, "pool", last - first + BOX_W))
        for column in self.boxes():
            self._up(column, row - 1, row)
        self.drawing.boxes.append(Box(middle, self.y(row + 1), "y", "output"))
        self._rise(middle, row, row + 1)
