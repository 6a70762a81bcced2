// The curves of a job: which charts, which axis, how smooth; state in the address; points kept.
import { LineChart, element } from "./chart.js";
import { address, chosen, keep, wireControls } from "./scale.js";
import { byId } from "./live.js";
import { start } from "./job.js";

const MAX_CHARTS = 4;
const MAX_POINTS = 2000; // of a curve; past that it comes anew, thinned out by the service

let picked = (address.get("charts") ?? "").split(",").filter(Boolean).slice(0, MAX_CHARTS);
let isChosen = picked.length > 0; // else the service shows what matters, as it comes in
const charts = new Map();
let series = {};
let groups = {};
let started_s = 0;
let attempt = 0;
let best = null;

// Points

function merge(view) {
  started_s = Date.parse(view.started_at) / 1000;
  groups = view.groups;
  for (const [name, points] of Object.entries(view.series)) {
    const known = (series[name] ??= { step: [], epoch: [], time: [], value: [] });
    for (const column in known) known[column].push(...points[column]);
  }
  const isTooMuch = ({ step }) => step.length > MAX_POINTS;
  if (Object.values(series).some(isTooMuch)) series = {}; // the next answer brings them whole
}

function question() {
  const wanted = [["part", "curves"], ["charts", isChosen ? picked.join(",") : ""]];
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
  if (!isChosen) picked = curves.charts;
  showChoice();
  draw();
}

function forget() {
  series = {};
  refresh();
}

function draw() {
  if (!Object.keys(series).length && charts.size) return; // between two thinnings: keep what is there
  const options = chosen(started_s);
  const shown = picked.filter((name) => name in groups);
  for (const [name, { figure }] of charts) {
    if (shown.includes(name)) continue;
    figure.remove();
    charts.delete(name);
  }
  for (const name of shown) {
    if (!charts.has(name)) charts.set(name, new LineChart(name));
    const chart = charts.get(name);
    byId("charts").append(chart.figure);
    chart.set(groups[name].filter((curve) => curve in series).map((curve) => curveOf(curve, options.column)), best, options);
  }
  byId("no-curves").hidden = shown.length > 0;
}

function curveOf(name, column) {
  const points = series[name];
  const dash = name.startsWith("val/") ? "dashed" : "solid";
  return { name, dash, xs: points[column], values: points.value, steps: points.step };
}

// Controls

function showChoice() {
  const names = Object.keys(groups);
  const isFull = picked.length >= MAX_CHARTS;
  const buttons = [...byId("choose").children];
  if (names.join() !== buttons.map((button) => button.textContent).join()) {
    byId("choose").replaceChildren(...names.map(choice));
  }
  for (const button of byId("choose").children) {
    const isOn = picked.includes(button.textContent);
    button.ariaPressed = String(isOn);
    button.disabled = isOn ? picked.length === 1 : isFull;
  }
}

function choice(name) {
  const button = element("button", { type: "button", textContent: name });
  button.addEventListener("click", () => {
    const isOn = picked.includes(name);
    isChosen = true;
    picked = isOn ? picked.filter((other) => other !== name) : [...picked, name];
    keep({ charts: picked.join(",") });
    draw();
    showChoice();
    refresh();
  });
  return button;
}

wireControls(draw);
const refresh = start(question, showCurves);
