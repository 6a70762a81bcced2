// The Jobs page: its rows kept fresh, filters that apply themselves, cancellation of several.
import { cancelJobs } from "./actions.js";
import { byId, fillRows, poll } from "./live.js";

const table = byId("jobs");
const filters = byId("filters");
const isNarrow = () => [...new FormData(filters).values()].some((value) => value.trim());

let views = new Map();

function show(view) {
  views = new Map(view.jobs.map((job) => [job.id, job]));
  fillRows(table, byId("row"), view.jobs, "id", "tbody");
  byId("count").textContent = view.count_text;
  byId("list").hidden = !view.jobs.length;
  byId("none").hidden = view.jobs.length > 0 || isNarrow();
  byId("no-match").hidden = view.jobs.length > 0 || !isNarrow();
  link(byId("newer"), view.newer);
  link(byId("older"), view.older);
  showSelection();
}

function link(anchor, query) {
  anchor.hidden = query === null;
  anchor.href = `/?${query ?? ""}`;
}

// Selection

const chosen = () => [...table.querySelectorAll("input:checked")].map((box) => box.value);
const cancellable = () => chosen().filter((id) => views.get(id)?.can_cancel);

function showSelection() {
  const ids = chosen();
  byId("selection").hidden = !ids.length;
  byId("selected").textContent = `${ids.length} selected`;
  byId("compare").hidden = ids.length < 2;
  byId("compare").href = `/compare?ids=${ids.join()}`;
  if (!byId("clone")) return;
  byId("clone").hidden = ids.length !== 1;
  byId("clone").href = `/jobs/new?from=${ids[0]}`;
  byId("cancel").hidden = !cancellable().length;
}

table.addEventListener("change", showSelection);
byId("cancel")?.addEventListener("click", async () => {
  const ids = cancellable();
  const title = ids.length === 1 ? "Cancel this job?" : `Cancel ${ids.length} jobs?`;
  if (!(await cancelJobs(ids, title))) return;
  for (const box of table.querySelectorAll("input:checked")) box.checked = false;
  refresh();
});

// Filters: the address follows, so that a link or a reload shows the same list.

function apply() {
  const fields = [...new FormData(filters)].filter(([, value]) => value.trim());
  const query = new URLSearchParams(fields).toString();
  history.replaceState(null, "", query ? `/?${query}` : "/");
  refresh();
}

let typing = 0;
filters.addEventListener("change", apply);
filters.addEventListener("input", ({ target }) => {
  if (target.type !== "search") return;
  clearTimeout(typing);
  typing = setTimeout(apply, 250);
});
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  apply();
});

const refresh = poll(() => `/ui/jobs${location.search}`, show);
