// What a person can do on a page: copy, act on jobs (cancel after a question), be told how it went.

let toastTimer = 0;

export function toast(text) {
  const box = document.getElementById("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (box.hidden = true), 6000);
}

export function wireCopy() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(document.getElementById(button.dataset.copy));
  });
}

async function copy(source) {
  const text = source.innerText;
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    getSelection().selectAllChildren(source); // over plain HTTP a page may not write the clipboard
    toast("Selected; press Ctrl+C to copy.");
  }
}

export function confirmed(title, text, yes) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-yes").textContent = yes;
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
  const words = faults.length ? `${faults[0]}` : all;
  toast(faults.length && done ? `${done} ${DONE[verb]}; ${faults.length} not: ${words}` : words);
}

const AWAY = "The service does not answer; try again when the page is live.";

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
