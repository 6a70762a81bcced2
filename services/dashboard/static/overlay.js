// Curves of several jobs or arms in one chart; dashes repeat what colours say.
import { LineChart } from "./chart.js";
import { address, chosen, keep, wireControls } from "./scale.js";
import { byId, poll } from "./live.js";
import "./actions.js";

const host = byId("overlay");
let view = null;
let chart = null;

function draw() {
  if (!view) return;
  const curves = view.curves.filter(({ step }) => step.length);
  byId("no-curves").hidden = curves.length > 0;
  if (chart?.name !== view.metric) chart = new LineChart(view.metric);
  if (!curves.length || chart.figure.parentNode !== host) host.replaceChildren(...(curves.length ? [chart.figure] : []));
  const options = chosen();
  chart.set(curves.map((curve) => ({ ...curve, xs: curve[options.column], values: curve.value, steps: curve.step })), null, options);
}

function show(answer) {
  view = answer;
  const names = view.metrics.length ? view.metrics : [view.metric];
  if (names.join() !== [...byId("metric").options].map(({ value }) => value).join()) {
    byId("metric").replaceChildren(...names.map((name) => new Option(name, name)));
  }
  byId("metric").value = view.metric;
  draw();
}

wireControls(draw);
const refresh = poll(() => `${host.dataset.url}metric=${encodeURIComponent(address.get("metric") ?? "")}`, show);
byId("metric").addEventListener("change", ({ target }) => {
  keep({ metric: target.value });
  refresh();
});
