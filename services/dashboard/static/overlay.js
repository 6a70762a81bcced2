// Curves of several jobs or arms in one chart: colour says which, and its dashes repeat it.
import { LineChart, element } from "./chart.js";
import { poll } from "./live.js";
import "./part.js";
import { format, formatSeconds } from "./scale.js";

const byId = (id) => document.getElementById(id);
const host = byId("overlay");
const address = new URLSearchParams(location.search);
const AXES = {
  step: { xLabel: "step", sayX: (x) => Math.round(x).toLocaleString(), isWhole: true, xs: (curve) => curve.step },
  epoch: { xLabel: "epoch", sayX: format, xs: (curve) => curve.epoch },
  relative: { xLabel: "time since the start", sayX: formatSeconds, xs: (curve) => curve.time },
};
let view = null;
let chart = null;

const axis = () => AXES[byId("x").value] ?? AXES.step;

function draw() {
  if (!view) return;
  const curves = view.curves.filter(({ step }) => step.length);
  byId("no-curves").hidden = curves.length > 0;
  if (chart?.name !== view.metric) chart = new LineChart(view.metric);
  host.replaceChildren(...(curves.length ? [chart.figure] : []));
  const { xs, ...rest } = axis();
  const options = { ...rest, isLog: byId("log").checked, weight: Number(byId("smooth").value) };
  chart.set(curves.map((curve) => ({ ...curve, xs: xs(curve), values: curve.value, steps: curve.step })), null, options);
}

function show(answer) {
  view = answer;
  const names = view.metrics.length ? view.metrics : [view.metric];
  if (names.join() !== [...byId("metric").options].map(({ value }) => value).join()) {
    byId("metric").replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
  }
  byId("metric").value = view.metric;
  draw();
}

function url() {
  const metric = address.get("metric");
  return metric ? `${host.dataset.url}${host.dataset.url.includes("?") ? "&" : "?"}metric=${encodeURIComponent(metric)}` : host.dataset.url;
}

function changed() {
  const state = { x: byId("x").value, y: byId("log").checked ? "log" : "", s: Number(byId("smooth").value) ? byId("smooth").value : "" };
  for (const [key, value] of Object.entries(state)) value && value !== "step" ? address.set(key, value) : address.delete(key);
  byId("smooth-value").textContent = byId("smooth").value;
  history.replaceState(null, "", `?${address}`.replaceAll("%2C", ",").replaceAll("%2F", "/"));
  draw();
}

byId("x").value = address.get("x") in AXES ? address.get("x") : "step";
byId("log").checked = address.get("y") === "log";
byId("smooth").value = byId("smooth-value").textContent = Math.min(0.99, Number(address.get("s")) || 0);
for (const id of ["x", "log", "smooth"]) byId(id).addEventListener("input", changed);
const refresh = poll(url, show);
byId("metric").addEventListener("change", ({ target }) => {
  address.set("metric", target.value);
  changed();
  refresh();
});
addEventListener("themechange", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
