// Parts that the service renders anew, where the focus and what is unfolded stay; forms and buttons
// that ask for one. The service escaped all text, and a document parsed like this runs no script.
import { confirmed, send, toast, wireCopy } from "./actions.js";
import { keepTimes, poll, sayTimes } from "./live.js";

const byId = (id) => document.getElementById(id);

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

const live = document.querySelector("[data-poll]");
const refresh = live ? poll(() => live.dataset.poll, (html) => swap(live.id, html)) : () => location.reload();

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-send]");
  if (button) press(button);
});
document.addEventListener("submit", (event) => {
  if (!event.target.dataset.swap) return;
  event.preventDefault();
  ask(event.target);
});
keepTimes();
wireCopy();
if (!byId("connection")) document.documentElement.dataset.ready = ""; // else the first answer says so
