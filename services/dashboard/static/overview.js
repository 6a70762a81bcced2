// The curves of a job: which charts, which axis, how smooth; state in the address; points kept.
import { LineChart, element } from "./chart.js";
import { start } from "./job.js";
import { clock } from "./live.js";
import { format, formatSeconds } from "./scale.js";

const MAX_CHARTS = 4;
const MAX_POINTS = 2000; // of a curve; past that it comes anew, thinned out by the service
const COLUMNS = ["step", "epoch", "time", "value"];

const byId = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);
const state = {
  x: ["step", "epoch", "relative", "wall"].includes(address.get("x")) ? address.get("x") : "step",
  isLog: address.get("y") === "log",
  weight: Math.min(0.99, Math.max(0, Number(address.get("s")) || 0)),
  charts: (address.get("charts") ?? "").split(",").filter(Boolean).slice(0, MAX_CHARTS),
};
let isChosen = state.charts.length > 0; // else the service shows what matters, as it comes in
const charts = new Map();
let series = {};
let groups = {};
let started_s = 0;
let attempt = 0;
let best = null;

// Axes

const AXES = {
  step: { label: "step", isWhole: true, xs: (points) => points.step, say: (x) => (x >= 1e6 ? format(x) : Math.round(x).toLocaleString()) },
  epoch: { label: "epoch", xs: (points) => points.epoch, say: format },
  relative: { label: "time since the start", xs: (points) => points.time, say: formatSeconds },
  wall: {
    label: "time of day",
    xs: (points) => points.time.map((time) => started_s + time),
    say: (x) => clock(1000 * x),
  },
};

// Points

function merge(view) {
  started_s = Date.parse(view.started_at) / 1000;
  groups = view.groups;
  for (const [name, points] of Object.entries(view.series)) {
    const known = (series[name] ??= { step: [], epoch: [], time: [], value: [] });
    for (const column of COLUMNS) known[column].push(...points[column]);
  }
  const isTooMuch = ({ step }) => step.length > MAX_POINTS;
  if (Object.values(series).some(isTooMuch)) series = {}; // the next answer brings them whole
}

function question() {
  const wanted = [["part", "curves"], ["charts", isChosen ? state.charts.join(",") : ""]];
  for (const [name, { step }] of Object.entries(series)) {
    if (step.length) wanted.push(["after", `${name}:${step.at(-1)}`]);
  }
  return wanted;
}

function showCurves({ job, curves }) {
  best = job.best;
  if (attempt && job.attempt !== attempt) forget(); // a new attempt goes back to its checkpoint
  else merge(curves);
  attempt = job.attempt;
  if (!isChosen) state.charts = curves.charts;
  showChoice();
  draw();
}

function forget() {
  series = {};
  refresh();
}

function draw() {
  if (!Object.keys(series).length && charts.size) return; // between two thinnings: keep what is there
  const axis = AXES[state.x];
  const options = { isLog: state.isLog, weight: state.weight, xLabel: axis.label, sayX: axis.say, isWhole: axis.isWhole };
  const shown = state.charts.filter((name) => name in groups);
  for (const [name, chart] of charts) if (!shown.includes(name)) remove(name, chart);
  for (const name of shown) {
    if (!charts.has(name)) charts.set(name, new LineChart(name));
    const chart = charts.get(name);
    byId("charts").append(chart.figure);
    chart.set(groups[name].filter((curve) => curve in series).map((curve) => curveOf(curve, axis)), best, options);
  }
  byId("no-curves").hidden = shown.length > 0;
}

function remove(name, chart) {
  chart.figure.remove();
  charts.delete(name);
}

function curveOf(name, axis) {
  const points = series[name];
  const dash = name.startsWith("val/") ? "dashed" : "solid";
  return { name, dash, xs: axis.xs(points), values: points.value, steps: points.step };
}

// Controls

function showChoice() {
  const names = Object.keys(groups);
  const isFull = state.charts.length >= MAX_CHARTS;
  const buttons = [...byId("choose").children];
  if (names.join() !== buttons.map((button) => button.textContent).join()) {
    byId("choose").replaceChildren(...names.map(choice));
  }
  for (const button of byId("choose").children) {
    const isOn = state.charts.includes(button.textContent);
    button.ariaPressed = String(isOn);
    button.disabled = isOn ? state.charts.length === 1 : isFull;
  }
}

function choice(name) {
  const button = element("button", { type: "button", textContent: name });
  button.addEventListener("click", () => {
    const isOn = state.charts.includes(name);
    isChosen = true;
    state.charts = isOn ? state.charts.filter((other) => other !== name) : [...state.charts, name];
    changed();
    showChoice();
    refresh();
  });
  return button;
}

function changed() {
  const wanted = new URLSearchParams(location.search);
  const fields = {
    x: state.x === "step" ? "" : state.x,
    y: state.isLog ? "log" : "",
    s: state.weight ? String(state.weight) : "",
    charts: isChosen ? state.charts.join(",") : "",
  };
  for (const [key, value] of Object.entries(fields)) {
    wanted.delete(key);
    if (value) wanted.set(key, value);
  }
  const query = wanted.toString().replaceAll("%2C", ",");
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  draw();
}

function showControls() {
  byId("x").value = state.x;
  byId("log").checked = state.isLog;
  byId("smooth").value = state.weight;
  byId("smooth-value").textContent = state.weight;
}

byId("x").addEventListener("change", (event) => {
  state.x = event.target.value;
  changed();
});
byId("log").addEventListener("change", (event) => {
  state.isLog = event.target.checked;
  changed();
});
byId("smooth").addEventListener("input", (event) => {
  state.weight = Number(event.target.value);
  byId("smooth-value").textContent = state.weight;
  changed();
});
addEventListener("themechange", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

showControls();
const refresh = start(question, showCurves);
