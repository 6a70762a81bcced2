// Draws one chart on a canvas: frame, curves, best mark, cursor. Knows numbers, not jobs.
import { format, linearTicks, logTicks } from "./scale.js";

const MARGIN = { left: 58, right: 14, top: 10, bottom: 38 };
const DASHES = { solid: [], dashed: [6, 4], dotted: [2, 3], dashdot: [8, 3, 2, 3], long: [12, 5], short: [4, 6] };
const RAW_ALPHA = 0.25;
const DENSE_ALPHA = 0.5;

const style = getComputedStyle(document.documentElement);
const token = (name) => style.getPropertyValue(name).trim();

// Where numbers lie on a canvas of this size.
export function frame(width, height, [x0, x1], [y0, y1], isLog) {
  const map = isLog ? Math.log : (value) => value;
  const inner = { w: width - MARGIN.left - MARGIN.right, h: height - MARGIN.top - MARGIN.bottom };
  const [low, high] = [map(y0), map(y1)];
  return {
    width, height, x0, x1, y0, y1, isLog,
    left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom,
    toX: (value) => MARGIN.left + ((value - x0) / (x1 - x0 || 1)) * inner.w,
    toY: (value) => MARGIN.top + ((high - map(value)) / (high - low || 1)) * inner.h,
    fromX: (pixel) => x0 + ((pixel - MARGIN.left) / inner.w) * (x1 - x0),
  };
}

export function begin(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = `12px ${token("--sans")}`;
  return context;
}

export function drawFrame(context, f, yLabel, { xLabel, sayX, isWhole }) {
  context.strokeStyle = token("--line");
  context.fillStyle = token("--muted");
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const ticks = f.isLog ? logTicks(f.y0, f.y1) : linearTicks(f.y0, f.y1, Math.max(3, f.height / 50));
  for (const tick of ticks) {
    const y = Math.round(f.toY(tick)) + 0.5;
    stroke(context, [[f.left, y], [f.right, y]]);
    context.fillText(format(tick), f.left - 8, y);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  const xTicks = linearTicks(f.x0, f.x1, Math.max(3, f.width / 80));
  for (const tick of isWhole ? xTicks.filter(Number.isInteger) : xTicks) {
    context.fillText(sayX(tick), f.toX(tick), f.bottom + 6);
  }
  context.fillText(xLabel, (f.left + f.right) / 2, f.height - 15);
  context.save();
  context.translate(11, (f.top + f.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.fillText(f.isLog ? `${yLabel} (log)` : yLabel, 0, 0);
  context.restore();
}

function stroke(context, points) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}

export function clipped(context, f, draw) {
  context.save();
  context.beginPath();
  context.rect(f.left, f.top, f.right - f.left, f.bottom - f.top);
  context.clip();
  draw();
  context.restore();
}

// What cannot be drawn is a gap; a point between two gaps is a dot. A curve with more points than
// pixels is drawn lightly, and a dashed one gets a rim: neither hides the other.
export function drawCurve(context, f, xs, values, isDrawable, { dash, isRaw = false, colour = 1 }) {
  const isDense = xs.length > f.width;
  const lines = runs(values, isDrawable).map((run) => run.map((i) => [f.toX(xs[i]), f.toY(values[i])]));
  const dashes = isRaw ? DASHES.solid : DASHES[dash];
  context.lineJoin = "round";
  if (dashes.length) drawLines(context, lines, token("--surface"), 5, 0.8, []);
  const alpha = isRaw ? RAW_ALPHA : isDense ? DENSE_ALPHA : 1;
  drawLines(context, lines, token(`--s${colour}`), isRaw || isDense ? 1 : 1.75, alpha, dashes);
}

// What lies between two values at each step, behind the curves.
export function drawBand(context, f, xs, low, high, colour) {
  const edge = (values) => values.map((value, i) => [f.toX(xs[i]), f.toY(value)]);
  context.fillStyle = token(`--s${colour}`);
  context.globalAlpha = 0.15;
  context.beginPath();
  for (const [x, y] of [...edge(low), ...edge(high).reverse()]) context.lineTo(x, y);
  context.fill();
  context.globalAlpha = 1;
}

function drawLines(context, lines, colour, width, alpha, dashes) {
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = width;
  context.globalAlpha = alpha;
  context.setLineDash(dashes);
  for (const points of lines) {
    if (points.length === 1) dot(context, ...points[0]);
    else stroke(context, points);
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

// Stretches of drawable values, as lists of indices.
export function runs(values, isDrawable) {
  const found = [];
  let current = [];
  values.forEach((value, index) => {
    if (isDrawable(value)) current.push(index);
    else if (current.length) current = (found.push(current), []);
  });
  if (current.length) found.push(current);
  return found;
}

function dot(context, x, y) {
  context.beginPath();
  context.arc(x, y, 2.5, 0, 2 * Math.PI);
  context.fill();
}

export function drawBest(context, f, x, y) {
  const [px, py, size] = [f.toX(x), f.toY(y), 6];
  if (px < f.left || px > f.right) return; // outside of the zoom
  context.fillStyle = token("--ok");
  context.strokeStyle = token("--surface");
  context.lineWidth = 1.5;
  context.beginPath();
  for (const [dx, dy] of [[0, -size], [size, 0], [0, size], [-size, 0]]) context.lineTo(px + dx, py + dy);
  context.closePath();
  context.fill();
  context.stroke();
}

export function drawCursor(context, f, x, marks) {
  context.strokeStyle = token("--muted");
  context.lineWidth = 1;
  const px = Math.round(f.toX(x)) + 0.5;
  stroke(context, [[px, f.top], [px, f.bottom]]);
  for (const [markX, markY, colour] of marks) {
    context.fillStyle = token(`--s${colour}`);
    dot(context, f.toX(markX), f.toY(markY));
  }
}

export function drawSelection(context, f, from, to) {
  context.globalAlpha = 0.2;
  context.fillStyle = token("--accent");
  context.fillRect(f.toX(from), f.top, f.toX(to) - f.toX(from), f.bottom - f.top);
  context.globalAlpha = 1;
}

function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A piece of a curve, for the legend.
export function swatch(colour, dash) {
  const drawing = svg("svg", { class: `swatch c${colour} ${dash}`, viewBox: "0 0 28 4" });
  drawing.append(svg("line", { x2: 28, y1: 2, y2: 2 }));
  return drawing;
}
