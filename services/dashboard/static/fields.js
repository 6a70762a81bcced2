// Forms as JSON: each field is put where its name, a dotted path, says; faults go under their field.
const numberOr = (text) => (text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));
const parts = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);

// "1", "1..3" or "1, 4, 7" as numbers; what is none stays text, for the service to refuse.
export const seedsOf = (text) => parts(text).flatMap((part) => {
  const [, first, last] = /^(\d+)\s*\.\.\s*(\d+)$/.exec(part) ?? [];
  if (!first) return [numberOr(part)];
  return Array.from({ length: Math.min(100, Math.max(0, last - first + 1)) }, (_, i) => Number(first) + i);
});

const READ = {
  text: (text) => text,
  number: numberOr,
  json: JSON.parse,
  sizes: (text) => (text.includes(",") ? parts(text).map(numberOr) : numberOr(text)),
  seeds: (text) => seedsOf(text)[0],
};

function valueOf(control) {
  const { read, empty } = control.dataset;
  if (read === "flag") return control.checked;
  if (/radio|checkbox/.test(control.type) && !control.checked) return undefined;
  if (control.value.trim() === "") return empty === "null" ? null : undefined;
  return READ[read](control.value);
}

// A field that `data-default` says is as without it needs no word.
const isOn = (control) => control.dataset.read && !control.matches(":disabled") && !control.closest("[hidden]")
  && control.dataset.default !== String(control.type === "checkbox" ? control.checked : control.value);

export function collect(form) {
  const found = {};
  for (const control of [...form.elements].filter(isOn)) {
    const value = valueOf(control);
    if (value === undefined) continue;
    const path = control.name.split(".");
    const last = path.pop();
    const inner = path.reduce((object, name) => (object[name] ??= {}), found);
    inner[last] = value;
  }
  return found;
}

// The field with the longest name that a path begins with: its own, or the nearest above.
const fieldAt = (form, path) => [...form.elements]
  .filter(({ name, disabled }) => name && !disabled && path?.startsWith(name))
  .sort((a, b) => b.name.length - a.name.length)[0];

export function clearFaults(form) {
  for (const said of form.querySelectorAll(".wrong")) said.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

// Says faults at their fields, the rest in `general`; returns the first field at fault.
export function showFaults(form, error, general) {
  clearFaults(form);
  const rest = [];
  let first = null;
  for (const { param, message } of error.details?.length ? error.details : [error]) {
    const control = fieldAt(form, param?.replace(/^base\./, ""));
    if (control) say(control, message);
    else rest.push(param && !message.includes(param) ? `${param}: ${message}` : message);
    first ??= control ?? null;
  }
  general.textContent = rest.join(" ");
  general.hidden = !rest.length;
  const unfolded = first?.closest("details");
  if (unfolded) unfolded.open = true;
  return first;
}

// Each field is described by `wrong-` and its id, whether there is such a thing or not.
function say(control, textContent) {
  control.ariaInvalid = "true";
  control.closest(".field, .drop").append(Object.assign(document.createElement("p"), { className: "wrong", id: `wrong-${control.id}`, textContent }));
}
