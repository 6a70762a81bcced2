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
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(document.getElementById(button.dataset.copy)));
  }
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

function confirmed(title, text) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = text;
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
  if (!(await confirmed(title, WARNING))) return false;
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

// null, or what was wrong.
async function actOn(id, verb) {
  const headers = { "X-Unroll-Page": "1" };
  try {
    const answer = await fetch(`/ui/jobs/${encodeURIComponent(id)}/${verb}`, { method: "POST", headers });
    return answer.ok ? null : (await answer.json()).error.message;
  } catch {
    return "The service does not answer; try again when the page is live.";
  }
}
