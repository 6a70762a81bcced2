// The form for a new job: shows what fits the choice, and tries every change by a dry run.
import { send, swap } from "./actions.js";
import { clearFaults, collect, seedsOf, showFaults } from "./fields.js";
import { byId } from "./live.js";
import { whenUploaded } from "./upload.js";

const form = byId("job-form");
const general = byId("form-fault");
let timer = 0;
let turn = 0;

function fit() {
  const chosen = new FormData(form);
  for (const set of form.querySelectorAll("[data-of]")) {
    set.hidden = set.disabled = chosen.get(set.dataset.of) !== set.dataset.is;
  }
  byId("patience").hidden = !byId("early").checked;
  const served = byId("dataset").selectedOptions[0]?.dataset.mapping;
  for (const option of byId("mapping").options) option.hidden = option.disabled = Boolean(served && option.value && option.value !== served);
  if (byId("mapping").selectedOptions[0]?.disabled) byId("mapping").value = "";
}

const sent = (spec) => ({ body: JSON.stringify(spec), headers: { "Content-Type": "application/json" } });

async function preview() {
  const mine = ++turn;
  const { html, fault, error } = await send("/ui/preview", sent(collect(form)));
  if (mine !== turn) return;
  clearFaults(form);
  general.hidden = true;
  if (html) swap("preview", html);
  else showFaults(form, error ?? { message: fault }, general);
  document.documentElement.dataset.preview = html ? "drawn" : "refused";
}

// Several cells or seeds make an experiment; else there is none.
function experiment() {
  const base = collect(form);
  const { cell } = base.network;
  const others = new FormData(form).getAll("several").filter((type) => type !== cell.type);
  const seeds = seedsOf(byId("training.seed").value);
  const count = (others.length + 1) * Math.max(1, seeds.length);
  byId("submit").textContent = `Submit ${count} job${count > 1 ? "s" : ""}`;
  byId("submit-word").textContent = count > 1 ? "as one experiment" : "";
  if (count === 1) return null;
  const vary = others.length ? { "network.cell": [cell, ...others] } : {};
  return { name: base.name, base, vary, seeds, match: byId("match").value };
}

function changed() {
  fit();
  experiment();
  clearTimeout(timer);
  timer = setTimeout(preview, 250);
}

async function submit(event) {
  event.preventDefault();
  clearTimeout(timer);
  turn++;
  byId("submit").disabled = true;
  const plan = experiment();
  const { json, fault, error } = await send(plan ? "/ui/experiments" : form.action, sent(plan ?? collect(form)));
  byId("submit").disabled = false;
  if (json) return location.assign(json.urls.dashboard);
  (showFaults(form, error ?? { message: fault }, general) ?? general).focus();
}

form.addEventListener("input", changed);
form.addEventListener("submit", submit);
byId("from").addEventListener("change", ({ target }) => target.form.submit());
byId("open-upload").addEventListener("click", () => byId("upload-dialog").showModal());
whenUploaded(({ name, mappings }) => {
  const option = new Option(name, name, true, true);
  option.dataset.mapping = mappings[0];
  byId("dataset").prepend(option);
  byId("upload-dialog").close();
  byId("dataset").focus();
  changed();
});
fit();
preview();
