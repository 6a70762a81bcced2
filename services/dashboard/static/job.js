// The page of one job: header, cards and, by tab, log lines, checkpoints or attempts.
import { act, cancelJobs } from "./actions.js";
import { byId, clock, fill, fillRows, poll } from "./live.js";

const root = byId("job");
const base = `/ui/jobs/${root.dataset.id}`;
const lines = byId("log-lines");
const view = byId("lines"); // what scrolls
const title = document.title;
const verbs = [...document.querySelectorAll("[data-verb]")];
let pressed = null; // the button that a verb was said with

function query(extra) {
  const wanted = new URLSearchParams(extra);
  if (lines) {
    wanted.append("part", "events");
    wanted.append("after_event", lines.dataset.last ?? lastNumber());
  }
  if (byId("checkpoints")) wanted.append("part", "checkpoints");
  return wanted.toString();
}

const lastNumber = () => lines.lastElementChild?.dataset.key ?? "0";

function show(state) {
  const { job } = state;
  fill(root, job);
  keepFocus();
  document.title = job.is_final ? title : `${job.percent} ${title}`;
  if (byId("latest")) fillRows(byId("latest"), byId("latest-row"), job.latest, "name");
  if (byId("attempts")) fillRows(bodyOf("attempts"), byId("attempt-row"), job.attempts, "number");
  if (state.checkpoints) showCheckpoints(state.checkpoints);
  if (state.events?.length) append(state.events);
}

// A pressed button that goes hands the focus to the one in its place, else to the heading.
function keepFocus() {
  if (!pressed?.hidden) return;
  const isLost = [pressed, document.body].includes(document.activeElement);
  pressed = null;
  if (isLost) (verbs.find((verb) => !verb.hidden) ?? root.querySelector("h1")).focus();
}

const bodyOf = (id) => byId(id).tBodies[0];

function showCheckpoints(checkpoints) {
  fillRows(bodyOf("checkpoints"), byId("checkpoint-row"), checkpoints, "id");
  byId("checkpoints").hidden = !checkpoints.length;
  byId("no-checkpoints").hidden = checkpoints.length > 0;
}

// Log: lines are only ever appended; a reader who scrolled up is not moved.

function append(events) {
  const kinds = lines.dataset.kinds?.split(" ");
  const isAtEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 8;
  for (const event of events) {
    if (!kinds || kinds.includes(event.type)) lines.append(line(event));
  }
  lines.dataset.last = events.at(-1).number;
  while (lines.children.length > Number(lines.dataset.max)) lines.firstElementChild.remove();
  if (byId("follow")?.checked ?? isAtEnd) toEnd();
}

function line(event) {
  const item = document.createElement("li");
  item.dataset.key = event.number;
  const made = (tag, fields) => Object.assign(document.createElement(tag), fields);
  const time = made("time", { dateTime: event.time, textContent: clock(event.time) });
  const kind = made("span", { className: "kind", textContent: event.type });
  item.append(time, " ", kind, " ", event.text);
  return item;
}

const toEnd = () => (view.scrollTop = view.scrollHeight);

function wireLog() {
  byId("to-top")?.addEventListener("click", () => {
    byId("follow").checked = false;
    view.scrollTop = 0;
  });
  byId("to-bottom")?.addEventListener("click", toEnd);
  view?.addEventListener("wheel", (event) => {
    if (event.deltaY < 0 && byId("follow")) byId("follow").checked = false;
  }, { passive: true });
  if (lines) toEnd();
}

// Start: `extra` gives more to ask for, `also` gets every new answer.
export function start(extra = () => [], also = () => {}) {
  wireLog();
  const refresh = poll(() => `${base}?${query(extra())}`, (state) => {
    show(state);
    also(state);
  });
  byId("cancel")?.addEventListener("click", async () => {
    if (await cancelJobs([root.dataset.id], "Cancel this job?")) refresh();
  });
  for (const button of verbs) {
    button.addEventListener("click", async () => {
      pressed = button;
      await act([root.dataset.id], button.dataset.verb);
      refresh();
    });
  }
  return refresh;
}

if (root.dataset.tab !== "overview") start();
