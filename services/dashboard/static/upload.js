// Uploads a file, dropped or chosen (the browser does both), with its progress, and every fault by line and field.
import { AWAY } from "./actions.js";
import { clearFaults, collect, showFaults } from "./fields.js";

const byId = (id) => document.getElementById(id);
const form = byId("upload");
const HEAD_BYTES = 65536;
let done = ({ id }) => location.assign(`/datasets/${id}`);

export const whenUploaded = (act) => (done = act);

async function chosen() {
  const file = byId("file").files[0];
  if (!file) return;
  if (!byId("name").value) byId("name").value = file.name.replace(/\.[^.]*$/, "").replace(/[^\w .-]+/g, "-").slice(0, 128);
  const isCsv = /\.(csv|tsv)$/i.test(file.name) || byId("format").value === "csv";
  byId("columns").hidden = !isCsv;
  if (!isCsv) return;
  const [line] = (await file.slice(0, HEAD_BYTES).text()).replace(/^\ufeff/, "").split(/\r?\n/, 1);
  const names = line.split(/[,;\t]/).map((name) => name.trim().replace(/^"(.*)"$/, "$1"));
  byId("header").textContent = names.join(", ");
  byId("names").replaceChildren(...names.map((value) => Object.assign(document.createElement("option"), { value })));
}

function bodyOf({ name, format, options = {} }) {
  const columns = byId("csv-input").value;
  if (columns && !byId("columns").hidden) {
    const kind = options.window ? "input_columns" : byId("csv-kind").value;
    options[kind] = kind === "input_column" ? columns : columns.split(",").map((each) => each.trim());
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
  const cell = (textContent) => Object.assign(document.createElement("td"), { textContent });
  const rows = inFile.map(({ where, field, message }) => {
    const row = document.createElement("tr");
    row.append(cell(where), cell(field ?? "—"), cell(message));
    return row;
  });
  byId("faults").querySelector("tbody").replaceChildren(...rows);
  byId("faults").querySelector(".scroll").hidden = !rows.length;
  byId("faults").hidden = title.textContent === "";
  title.hidden = byId("faults").hidden;
  (first ?? byId("faults")).focus();
}

function wireUpload() {
  byId("file").addEventListener("change", chosen);
  byId("format").addEventListener("change", chosen);
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
