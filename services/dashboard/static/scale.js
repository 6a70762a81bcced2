// The scales of charts: ticks, smoothing, words, and the controls that choose. Knows no canvas.
import { byId, clock } from "./live.js";

export function format(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  const size = Math.abs(value);
  const isFar = size >= 1e6 || (size > 0 && size < 1e-4);
  if (isFar) return value.toExponential(2).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(4)));
}

export function formatSeconds(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// About `count` round numbers within [low, high].
export function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index++) {
    ticks.push(Number((index * step).toPrecision(12)));
  }
  return ticks;
}

// 1, 2 and 5 of every power of ten in [low, high]; only powers over many decades.
export function logTicks(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = last - first > 3 ? [1] : [1, 2, 5];
  const every = Math.max(1, Math.ceil((last - first) / 8));
  const ticks = [];
  for (let power = first; power <= last; power += every) {
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(3)));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

// Exponential moving average without the pull towards zero at its start: a constant stays itself.
// What is no number is left out of the average and stays a gap.
export function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

// Smallest and largest drawable value of all `lists` between two positions, with a margin.
export function range(lists, isDrawable, isLog) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of lists) {
    for (const value of values) {
      if (!isDrawable(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return [0.1, 1];
  if (isLog) return low === high ? [low / 2, high * 2] : [low / 1.1, high * 1.1];
  const margin = low === high ? Math.abs(low) * 0.1 || 0.1 : (high - low) * 0.05;
  const reachesZero = low >= 0 && low < (high - low) * 0.25;
  return [reachesZero ? 0 : low - margin, high + margin];
}

// Index of the value nearest to `wanted` in ascending `values`; -1 in an empty list.
export function nearest(values, wanted) {
  if (!values.length) return -1;
  let [low, high] = [0, values.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle;
    else high = middle;
  }
  return Math.abs(values[low] - wanted) <= Math.abs(values[high] - wanted) ? low : high;
}

// What a chart says to those who do not see it.
export function summary(curves) {
  const sentences = curves.map(({ name, values }) => {
    const finite = values.filter((value) => value !== null);
    const lowest = finite.length ? Math.min(...finite) : null;
    return `${name}: last ${format(values.at(-1))}, lowest ${format(lowest)}`;
  });
  return sentences.join("; ");
}

const GAPS = [
  { isGap: (value) => value === null, words: "non-finite value", isOnLogOnly: false },
  { isGap: (value) => value !== null && value <= 0, words: "value ≤ 0 left out of the log scale", isOnLogOnly: true },
];

// One sentence for each curve and kind of value that cannot be drawn.
export function gapNotes(curves, isLog) {
  const kinds = GAPS.filter(({ isOnLogOnly }) => isLog || !isOnLogOnly);
  return curves.flatMap((curve) => kinds.flatMap((kind) => gapNote(curve, kind)));
}

function gapNote({ name, values, steps }, { isGap, words }) {
  const number = values.filter(isGap).length;
  if (!number) return [];
  const first = `step ${steps[values.findIndex(isGap)].toLocaleString()}`;
  const many = words.replace("value", "values");
  return [number === 1 ? `${name}: 1 ${words} at ${first}.` : `${name}: ${number} ${many}, the first at ${first}.`];
}

// Controls: the x axis, the scale of y and the smoothing, kept in the address.

export const address = new URLSearchParams(location.search);
const AXES = {
  step: { xLabel: "step", isWhole: true, column: "step", sayX: (x) => (x >= 1e6 ? format(x) : Math.round(x).toLocaleString()) },
  epoch: { xLabel: "epoch", column: "epoch", sayX: format },
  relative: { xLabel: "time since the start", column: "time", sayX: formatSeconds },
  wall: { xLabel: "time of day", column: "time", sayX: (x, start_s) => clock(1000 * (start_s + x)) },
};

// What a chart is drawn with; `start_s` is when a clock showed time 0.
export function chosen(start_s = 0) {
  const { sayX, ...axis } = AXES[byId("x").value];
  return { ...axis, sayX: (x) => sayX(x, start_s), isLog: byId("log").checked, weight: Number(byId("smooth").value) };
}

// Put these in the address; what is empty leaves it.
export function keep(fields) {
  for (const [key, value] of Object.entries(fields)) {
    if (value) address.set(key, value);
    else address.delete(key);
  }
  const query = address.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

export function wireControls(draw) {
  const [x, log, smooth] = ["x", "log", "smooth"].map(byId);
  x.value = address.get("x") ?? "step";
  if (!x.value) x.value = "step";
  log.checked = address.get("y") === "log";
  smooth.value = Math.min(0.99, Math.max(0, Number(address.get("s")) || 0));
  const say = () => (byId("smooth-value").textContent = Number(smooth.value));
  for (const control of [x, log, smooth]) {
    control.addEventListener("input", () => {
      say();
      keep({ x: x.value === "step" ? "" : x.value, y: log.checked ? "log" : "", s: Number(smooth.value) ? smooth.value : "" });
      draw();
    });
  }
  say();
  addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
