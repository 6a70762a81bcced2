// Keeps a page fresh: asks while the tab is visible, says whether what is shown is true, and puts
// fields where the template left room for them. Text stays text.
export const byId = (id) => document.getElementById(id);

const EVERY_MS = 2000;
const LONGEST_MS = 15000;
const WORDS = { live: "live", paused: "paused", away: "reconnecting…" };
const AWAY = "Reconnecting… the service does not answer.";

let skew_ms = 0; // clock of the server minus clock of the browser

const serverNow = () => Date.now() + skew_ms;

function say(state) {
  const connection = byId("connection");
  if (connection.dataset.state === state) return;
  connection.dataset.state = state;
  byId("connection-word").textContent = WORDS[state];
  const isAway = state === "away";
  byId("banner").hidden = !isAway;
  byId("banner-word").textContent = isAway ? AWAY : "";
  for (const control of document.querySelectorAll("[data-needs-server]")) {
    control.toggleAttribute("data-offline", isAway);
    control.disabled = isAway || control.dataset.disabled === "true";
  }
}

function note(answer) {
  const date = Date.parse(answer.headers.get("date") ?? "");
  if (!Number.isNaN(date)) skew_ms = date - Date.now();
  byId("last-update").dateTime = new Date(serverNow()).toISOString();
}

// Poll `url()` and hand each new answer to `show`; returns a function that polls at once.
export function poll(url, show) {
  let timer = 0;
  let wait_ms = EVERY_MS;
  let seen = { url: "", etag: "" };
  let isBusy = false;
  let isWanted = false; // asked for while another answer was under way

  async function ask() {
    const target = url();
    const headers = seen.url === target ? { "If-None-Match": seen.etag } : {};
    const answer = await fetch(target, { headers, cache: "no-store" });
    if (answer.status === 401) location.reload();
    if (answer.status !== 304 && !answer.ok) throw new Error(`status ${answer.status}`);
    note(answer);
    if (answer.status === 304) return;
    const isJson = answer.headers.get("content-type").startsWith("application/json");
    const view = await (isJson ? answer.json() : answer.text());
    seen = { url: target, etag: answer.headers.get("etag") };
    show(view);
  }

  async function tick() {
    clearTimeout(timer);
    if (document.hidden) return say("paused");
    isWanted = isBusy;
    if (isBusy) return;
    isBusy = true;
    try {
      await ask();
      say("live");
      wait_ms = EVERY_MS;
    } catch (fault) {
      if (!(fault instanceof TypeError) && !/^status /.test(fault.message)) throw fault;
      say("away");
      wait_ms = Math.min(LONGEST_MS, wait_ms * 1.5);
    } finally {
      isBusy = false;
      timer = setTimeout(tick, isWanted ? 0 : wait_ms);
    }
    if (!("ready" in document.documentElement.dataset)) performance.mark("drawn");
    document.documentElement.dataset.ready = "";
  }

  document.addEventListener("visibilitychange", tick);
  addEventListener("online", tick);
  tick();
  return tick;
}

// Slots

const field = (view, path) => path.split(".").reduce((value, name) => value?.[name], view);

// Every element of `root` that carries one of these attributes is set from the field it names.
const RULES = {
  slot: (element, value) => setText(element, value ?? ""),
  show: (element, value) => (element.hidden = !value),
  hide: (element, value) => (element.hidden = Boolean(value)),
  href: (element, value) => element.setAttribute("href", value),
  value: (element, value) => (element.value = value),
  time: (element, value) => (value ? (element.dateTime = value) : element.removeAttribute("datetime")),
  status: (element, value) => (element.className = `pill ${value}`),
  enable: enable,
};

function setText(element, value) {
  const text = String(value);
  if (element.textContent !== text) element.textContent = text; // keeps a reader's selection
}

function enable(element, value) {
  element.dataset.disabled = String(!value);
  element.disabled = !value || element.hasAttribute("data-offline");
  if (element.type === "checkbox" && !value) element.checked = false;
}

export function fill(root, view) {
  for (const [name, set] of Object.entries(RULES)) {
    const attribute = `data-${name}`;
    for (const element of root.querySelectorAll(`[${attribute}]`)) {
      const row = element.closest("[data-key]");
      const isElsewhere = row && row !== root && root.contains(row); // a row is filled by its own view
      if (!isElsewhere) set(element, field(view, element.getAttribute(attribute)));
    }
  }
  sayTimes(root);
}

// Keyed rows: known ones are filled where they are, new ones are made, others go.
export function fillRows(parent, template, views, key, selector = "[data-key]") {
  const known = new Map([...parent.querySelectorAll(selector)].map((row) => [row.dataset.key, row]));
  let before = null;
  for (const view of views) {
    const id = String(view[key]);
    const row = known.get(id) ?? make(template, view, id);
    known.delete(id);
    fill(row, view);
    const next = before ? before.nextElementSibling : parent.querySelector(selector);
    if (row !== next) parent.insertBefore(row, next);
    before = row;
  }
  for (const gone of known.values()) gone.remove();
}

function make(template, view, id) {
  const row = template.content.firstElementChild.cloneNode(true);
  row.dataset.key = id;
  for (const box of row.querySelectorAll("[data-key-value]")) {
    box.value = id;
    box.setAttribute("aria-label", `Select ${view.name}`);
  }
  row.querySelector("progress")?.setAttribute("aria-label", `Progress of ${view.name}`);
  return row;
}

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function ageOf(iso) {
  const seconds = Math.max(0, Math.round((serverNow() - Date.parse(iso)) / 1000));
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

const CLOCKS = {
  short: new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" }),
  "": new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }),
};

export const clock = (iso) => CLOCKS.short.format(new Date(iso));

export function sayTimes(root) {
  for (const time of root.querySelectorAll("time[data-age]")) {
    setText(time, time.dateTime ? ageOf(time.dateTime) : "");
  }
  for (const time of root.querySelectorAll("time[data-clock][datetime]")) {
    const moment = new Date(time.dateTime);
    setText(time, CLOCKS[time.dataset.clock].format(moment));
    time.title = moment.toISOString();
  }
}

export function keepTimes() {
  sayTimes(document);
  setInterval(() => {
    for (const time of document.querySelectorAll("time[data-age][datetime]")) {
      setText(time, ageOf(time.dateTime));
    }
  }, 1000);
}
