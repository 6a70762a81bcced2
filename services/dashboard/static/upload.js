// Uploads a file, dropped or chosen (the browser does both), with its progress, and every fault by line and field.
import { AWAY, send } from "./actions.js";
import { byId } from "./live.js";
import { clearFaults, collect, showFaults } from "./fields.js";

const form = byId("upload");
const HEAD_BYTES = 65536;
let done = ({ id }) => location.assign(`/datasets/${id}`);
let guessed = null; // the file whose columns were guessed

export const whenUploaded = (act) => (done = act);

async function chosen() {
  const file = byId("file").files[0];
  if (!file) return;
  if (!byId("name").value) byId("name").value = file.name.replace(/\.[^.]*$/, "").replace(/[^\w .-]+/g, "-").slice(0, 128);
  const isCsv = /\.(csv|tsv)$/i.test(file.name) || byId("format").value === "csv";
  byId("columns").hidden = !isCsv;
  if (!isCsv || file === guessed) return;
  guessed = file;
  for (const control of byId("columns").querySelectorAll("input")) control.value = "";
  const body = new FormData();
  body.append("head", file.slice(0, HEAD_BYTES));
  const { json } = await send("/ui/datasets/columns", { body });
  if (json && file === guessed) propose(json);
}

// What a person has filled in meanwhile stays.
function propose({ names, kind, fields }) {
  byId("header").textContent = names.join(", ");
  byId("names").replaceChildren(...names.map((name) => new Option("", name)));
  if (!byId("csv-input").value) byId("csv-kind").value = kind;
  for (const [name, value] of Object.entries(fields)) form.elements[name].value ||= value;
  fitKind();
}

const fitKind = () => (byId("series").hidden = byId("csv-kind").value !== "window");

function bodyOf({ name, format, options = {} }) {
  const columns = byId("csv-input").value;
  if (!byId("columns").hidden) {
    const kind = byId("csv-kind").value;
    if (kind === "window") options.window ??= "";
    if (columns && kind === "input_column") options.input_column = columns;
    else if (columns) options.input_columns = columns.split(",").map((each) => each.trim());
  }
  const body = new FormData();
  const file = byId("file").files[0];
  if (file) body.append("file", file);
  body.append("name", name ?? "");
  body.append("format", format);
  body.append("options", JSON.stringify(options));
  return body;
}

// fetch tells no progress of what it sends.
function post(body) {
  const request = new XMLHttpRequest();
  request.responseType = "json";
  request.open("POST", form.action);
  request.setRequestHeader("X-Unroll-Page", "1");
  request.upload.onprogress = ({ loaded, total }) => progress(loaded / total);
  request.onload = () => finish(request.status < 300, request.response);
  request.onerror = () => finish(false, null);
  request.send(body);
}

function progress(share) {
  byId("sent").hidden = false;
  byId("sent").value = share;
  byId("sent-word").textContent = share < 1 ? `${Math.floor(100 * share)} %` : "Read and checked…";
}

function finish(isDone, answer) {
  form.querySelector(".primary").disabled = false;
  byId("sent").hidden = true;
  byId("sent-word").textContent = isDone ? "Stored." : "";
  if (isDone) done(answer);
  else refuse(answer?.error ?? { message: AWAY });
}

function refuse(error) {
  const inFile = (error.details ?? []).filter(({ where }) => where && where !== "options");
  const title = byId("faults-title");
  const first = inFile.length ? null : showFaults(form, error, title);
  if (inFile.length) title.textContent = `Faults in the file: ${inFile.length}. Nothing was stored.`;
  const table = byId("faults").querySelector("tbody");
  table.replaceChildren();
  for (const { where, field, message } of inFile) {
    const row = table.insertRow();
    for (const text of [where, field ?? "—", message]) row.insertCell().textContent = text;
  }
  byId("faults").querySelector(".scroll").hidden = !inFile.length;
  byId("faults").hidden = title.textContent === "";
  title.hidden = byId("faults").hidden;
  (first ?? byId("faults")).focus();
}

function wireUpload() {
  byId("file").addEventListener("change", chosen);
  byId("format").addEventListener("change", chosen);
  byId("csv-kind").addEventListener("change", fitKind);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearFaults(form);
    byId("faults").hidden = true;
    form.querySelector(".primary").disabled = true;
    progress(0);
    post(bodyOf(collect(form)));
  });
}

if (form) wireUpload();
