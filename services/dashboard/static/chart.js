// One line chart: its elements, what the pointer and the keys do, what it says to a reader.
import { begin, clipped, drawBand, drawBest, drawCursor, drawCurve, drawFrame, drawSelection, frame, swatch } from "./paint.js";
import { format, gapNotes, nearest, range, smoothed, summary } from "./scale.js";

const DRAG_PX = 6;
const KEY_STEPS = 60;
const TABLE_ROWS = 200;

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export class LineChart {
  // `curves`: [{name, dash, xs, values, steps, colour?, low?, high?}]; `options`: {isLog, weight, xLabel, sayX, isWhole}.
  constructor(name) {
    this.name = name;
    this.curves = [];
    this.options = { isLog: false, weight: 0, xLabel: "step", sayX: format };
    this.best = null;
    this.hidden = new Set();
    this.zoom = this.cursor = this.drag = null;
    this.canvas = element("canvas");
    this.tip = element("div", { className: "tip", hidden: true });
    this.host = element("div", { className: "chart", tabIndex: 0, role: "img" }, this.canvas, this.tip);
    this.legend = element("ul", { className: "legend" });
    this.note = element("p", { className: "note", hidden: true });
    this.said = element("p", { className: "sr", role: "status" });
    this.table = element("table");
    const region = element("div", { className: "scroll table-region", tabIndex: 0, role: "region", ariaLabel: `${name} as a table` }, this.table);
    this.details = element("details", {}, element("summary", { textContent: "Show as table" }), region);
    this.details.addEventListener("toggle", () => this.fillTable());
    this.figure = element("figure", {}, element("figcaption", { className: "sr", textContent: name }), this.host, this.legend, this.note, this.details, this.said);
    new ResizeObserver(() => this.draw()).observe(this.host);
    this.listen();
  }

  set(curves, best, options) {
    const isOtherAxis = options.xLabel !== this.options.xLabel;
    const isOtherSet = curves.map((c) => c.name).join() !== this.curves.map((c) => c.name).join();
    Object.assign(this, { curves, best, options });
    if (isOtherAxis) this.zoom = this.cursor = null;
    if (isOtherSet) this.fillLegend();
    this.describe();
    this.draw();
    if (this.details.open) this.fillTable();
  }

  // What is shown: hidden curves left out, each with its smoothed values.
  visible() {
    const shown = this.curves.filter((curve) => !this.hidden.has(curve.name));
    return shown.map((curve) => ({ ...curve, line: smoothed(curve.values, this.options.weight) }));
  }

  isDrawable = (value) => value !== null && (!this.options.isLog || value > 0);

  spanOf(curves) {
    if (this.zoom) return this.zoom;
    const ends = curves.filter(({ xs }) => xs.length).flatMap(({ xs }) => [xs[0], xs.at(-1)]);
    if (!ends.length) return [0, 1];
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    if (low === high) return [low - 1, high + 1];
    return [low > 0 && low < high / 10 ? 0 : low, high];
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height) return;
    const curves = this.visible();
    const [x0, x1] = this.spanOf(curves);
    const lists = curves.flatMap(({ xs, values, low = [], high = [] }) => [values, low, high].map((list) => [xs, list]));
    const within = lists.map(([xs, list]) => list.filter((_, i) => xs[i] >= x0 && xs[i] <= x1));
    const span = range(within, this.isDrawable, this.options.isLog);
    const f = (this.frame = frame(width, height, [x0, x1], span, this.options.isLog));
    const context = begin(this.canvas, width, height);
    drawFrame(context, f, this.name, this.options);
    clipped(context, f, () => this.drawCurves(context, f, curves));
    this.drawBestOn(context, f, curves);
    if (this.drag && this.cursor !== null) drawSelection(context, f, this.drag.from, this.cursor);
    this.drawCursorOn(context, f, curves);
  }

  drawCurves(context, f, curves) {
    for (const { xs, values, line, dash, colour = 1, low, high } of curves) {
      if (low?.length && [...low, ...high].every(this.isDrawable)) drawBand(context, f, xs, low, high, colour);
      if (this.options.weight) drawCurve(context, f, xs, values, this.isDrawable, { isRaw: true, colour });
      drawCurve(context, f, xs, line, this.isDrawable, { dash, colour });
    }
  }

  drawBestOn(context, f, curves) {
    const curve = this.best && curves.find(({ name }) => name === this.best.metric);
    const index = curve ? nearest(curve.steps, this.best.step) : -1;
    const [x, y] = index < 0 ? [] : [curve.xs[index], this.best.value];
    if (index >= 0 && this.isDrawable(y)) drawBest(context, f, x, y);
  }

  drawCursorOn(context, f, curves) {
    const isOn = this.cursor !== null && curves.some(({ xs }) => xs.length);
    this.tip.hidden = !isOn;
    if (!isOn) return;
    const near = curves.map((curve) => ({ ...curve, index: nearest(curve.xs, this.cursor) })).filter(({ index }) => index >= 0);
    const anchor = near.reduce((a, b) => (Math.abs(b.xs[b.index] - this.cursor) < Math.abs(a.xs[a.index] - this.cursor) ? b : a));
    const x = anchor.xs[anchor.index];
    const marks = near.filter(({ line, index }) => this.isDrawable(line[index])).map((c) => [c.xs[c.index], c.line[c.index], c.colour ?? 1]);
    drawCursor(context, f, x, marks);
    const head = `${this.options.xLabel} ${this.options.sayX(x)}`;
    const rows = near.map((c) => `${c.name} ${format(c.line[c.index])}${this.options.weight ? ` (raw ${format(c.values[c.index])})` : ""}`);
    this.tip.replaceChildren(element("strong", { textContent: head }), ...rows.map((text) => element("div", { textContent: text })));
    const px = f.toX(x);
    const isRight = px + 16 + this.tip.offsetWidth > f.width;
    this.tip.style.left = `${isRight ? px - 12 - this.tip.offsetWidth : px + 12}px`;
    this.words = [head, ...rows].join(", ");
  }

  listen() {
    const at = (event) => this.frame.fromX(event.clientX - this.host.getBoundingClientRect().left);
    this.host.addEventListener("pointerdown", (event) => {
      this.drag = { from: at(event), px: event.clientX };
      this.host.setPointerCapture(event.pointerId);
    });
    this.host.addEventListener("pointermove", (event) => this.move(at(event)));
    this.host.addEventListener("pointerup", (event) => {
      const isZoom = this.drag && Math.abs(event.clientX - this.drag.px) > DRAG_PX;
      if (isZoom) this.zoom = [this.drag.from, at(event)].sort((a, b) => a - b);
      this.drag = null;
      this.draw();
    });
    this.host.addEventListener("pointercancel", () => (this.drag = null));
    this.host.addEventListener("pointerleave", () => this.move(null));
    this.host.addEventListener("dblclick", () => this.reset());
    this.host.addEventListener("keydown", (event) => this.key(event));
    this.host.addEventListener("blur", () => this.move(null));
  }

  move(cursor) {
    this.cursor = cursor;
    this.draw();
  }

  reset() {
    this.zoom = null;
    this.move(null);
  }

  key(event) {
    const { x0, x1 } = this.frame;
    const step = (x1 - x0) / KEY_STEPS;
    const moves = {
      ArrowRight: () => this.move(Math.min(x1, (this.cursor ?? x0 - step) + step)),
      ArrowLeft: () => this.move(Math.max(x0, (this.cursor ?? x1 + step) - step)),
      Home: () => this.move(x0),
      End: () => this.move(x1),
      Escape: () => this.reset(),
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    moves[event.key]();
    this.said.textContent = this.cursor === null ? "" : this.words;
  }

  describe() {
    this.host.ariaLabel = `Line chart of ${this.name} by ${this.options.xLabel}. ${summary(this.curves)}`;
    const notes = gapNotes(this.curves, this.options.isLog);
    this.note.textContent = notes.join(" ");
    this.note.hidden = !notes.length;
  }

  fillLegend() {
    this.legend.replaceChildren(...this.curves.map(({ name, dash, colour = 1 }) => {
      const button = element("button", { type: "button", ariaPressed: String(!this.hidden.has(name)) }, swatch(colour, dash), name);
      button.addEventListener("click", () => {
        if (!this.hidden.delete(name)) this.hidden.add(name);
        button.ariaPressed = String(!this.hidden.has(name));
        this.draw();
      });
      return element("li", {}, button);
    }));
  }

  // The newest points of every curve, side by side by step.
  fillTable() {
    const rows = new Map();
    this.curves.forEach(({ steps, values }, column) => steps.forEach((step, index) => {
      if (!rows.has(step)) rows.set(step, []);
      rows.get(step)[column] = values[index];
    }));
    const newest = [...rows].sort(([a], [b]) => b - a).slice(0, TABLE_ROWS);
    const head = ["step", ...this.curves.map(({ name }) => name)].map((textContent) => element("th", { scope: "col", className: "n", textContent }));
    const cell = (textContent) => element("td", { className: "n mono", textContent });
    const body = newest.map(([step, values]) => element("tr", {}, cell(step.toLocaleString()), ...this.curves.map((_, i) => cell(i in values ? format(values[i]) : ""))));
    this.table.replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  }
}
