// What a person can do on a page: copy, act on jobs, press buttons that ask and then send, post forms
// for a part that the service renders. It escaped all text there, and a document parsed like this
// runs no script.
import { byId, keepTimes, poll, sayTimes } from "./live.js";

let toastTimer = 0;

export function toast(text) {
  const box = byId("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (box.hidden = true), 6000);
}

async function copy(source) {
  const text = source?.innerText ?? location.href;
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    if (!source) return toast(text); // over plain HTTP a page may not write the clipboard
    getSelection().selectAllChildren(source);
    toast("Selected; press Ctrl+C to copy.");
  }
}

export function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

const DONE = {
  cancel: "asked to stop",
  pause: "asked to pause",
  resume: "put back in the queue",
  retry: "put back in the queue",
};
const WARNING = "What waits ends at once. What runs stops at its next step and keeps its last checkpoint.";

// Ask, then cancel each job; true when the person said yes.
export async function cancelJobs(ids, title) {
  if (!(await confirmed(title, WARNING, "Cancel it"))) return false;
  await act(ids, "cancel");
  return true;
}

// Do it to each job and say how it went.
export async function act(ids, verb) {
  const faults = (await Promise.all(ids.map((id) => actOn(id, verb)))).filter(Boolean);
  const done = ids.length - faults.length;
  const all = done === 1 ? `The job was ${DONE[verb]}.` : `${done} jobs were ${DONE[verb]}.`;
  const words = faults[0] ?? all;
  toast(faults.length && done ? `${done} ${DONE[verb]}; ${faults.length} not: ${words}` : words);
}

export const AWAY = "The service does not answer; try again soon.";

// What the service says: {fault} in words (with the whole `error`), else {html} or {json}.
export async function send(url, { method = "POST", ...options }) {
  try {
    const headers = { "X-Unroll-Page": "1", ...options.headers };
    const answer = await fetch(url, { method, ...options, headers });
    const kind = answer.headers.get("content-type") ?? "";
    if (kind.startsWith("text/html")) return { html: await answer.text() };
    const isJson = kind.startsWith("application/json") && answer.status !== 204;
    const json = isJson ? await answer.json() : null;
    return answer.ok ? { json } : { fault: json?.error.message ?? AWAY, error: json?.error };
  } catch {
    return { fault: AWAY };
  }
}

// undefined, or what was wrong.
const actOn = async (id, verb) => (await send(`/ui/jobs/${encodeURIComponent(id)}/${verb}`, {})).fault;

// Parts

export function swap(target, html) {
  const old = byId(target);
  const open = [...old.querySelectorAll("details[id][open]")].map(({ id }) => id);
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  for (const id of open) byId(id)?.setAttribute("open", "");
  byId(focused)?.focus();
  sayTimes(old);
  old.dispatchEvent(new Event("swapped", { bubbles: true }));
}

// A form with `data-swap` posts its fields and shows the answer in the part of that id.
async function ask(form) {
  const pressed = form.querySelector("button:not([type])");
  pressed.disabled = true;
  const answer = await send(form.action, { body: new FormData(form) });
  pressed.disabled = false;
  if (answer.html) swap(form.dataset.swap, answer.html);
  else toast(answer.fault);
}

// A button with `data-send` asks its question, sends, and goes to `data-then` or refreshes.
async function press(button) {
  const { title, text, yes, send: url, method = "POST", then } = button.dataset;
  if (title && !(await confirmed(title, text, yes))) return;
  const { fault } = await send(url, { method });
  if (fault) toast(fault);
  else if (then) location.assign(then);
  else refresh();
}

// Put a value into a field and ask with it.
export function put(id, value) {
  byId(id).value = value;
  byId(id).form.requestSubmit();
}

const live = document.querySelector("[data-poll]");
const refresh = live ? poll(() => live.dataset.poll, (html) => swap(live.id, html)) : () => location.reload();

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-send], [data-copy], [data-put]");
  if (!button) return;
  const { copy: id, put: field } = button.dataset;
  if (field) put(field, button.value);
  else if (id === undefined) press(button);
  else copy(byId(id));
});
document.addEventListener("submit", (event) => {
  if (!event.target.dataset.swap) return;
  event.preventDefault();
  ask(event.target);
});
keepTimes();
if (!byId("connection")) document.documentElement.dataset.ready = "";
