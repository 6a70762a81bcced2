// The x axis, the scale of y and the smoothing of charts: chosen on the page, kept in the address.
import { clock } from "./live.js";
import { format, formatSeconds } from "./scale.js";

const byId = (id) => document.getElementById(id);
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
