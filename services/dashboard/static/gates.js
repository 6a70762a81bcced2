// Paints the heat maps of gates from bytes; a click on a row asks for its unit.
import { put } from "./actions.js";
import { byId } from "./live.js";

const form = byId("inspect");
const hex = (colours) => colours.split(" ").map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
const PALETTES = {
  gate: hex("#440154 #3b528b #21918c #5ec962 #fde725"), // viridis
  state: hex("#2166ac #92c5de #f7f7f7 #f4a582 #b2182b"), // blue, white at 0, red
};

function shade(stops, byte) {
  const place = (byte / 255) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(place));
  return stops[low].map((value, i) => value + (stops[low + 1][i] - value) * (place - low));
}

function paint(canvas) {
  const { steps, units, palette, bytes, row } = canvas.dataset;
  const image = new ImageData(Number(steps), Number(units));
  [...atob(bytes)].forEach((char, i) => image.data.set([...shade(PALETTES[palette], char.charCodeAt(0)), 255], 4 * i));
  const small = new OffscreenCanvas(steps, units);
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  const high = (canvas.height = 8 * units) / units;
  canvas.width = 8 * steps;
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(0, row * high - 1, canvas.width, high + 2);
  }
}

function paintAll() {
  for (const canvas of document.querySelectorAll("canvas[data-bytes]")) paint(canvas);
  document.documentElement.dataset.traced = "";
}

form?.addEventListener("swapped", paintAll);
form?.addEventListener("change", ({ target }) => "again" in target.dataset && form.requestSubmit());
form?.addEventListener("click", ({ target, offsetY }) => {
  for (const name of ["unit", "step"]) if (target.dataset[name]) put(name, target.dataset[name]);
  if (!target.dataset.bytes) return;
  const row = Math.min(target.dataset.units - 1, Math.floor((offsetY / target.clientHeight) * target.dataset.units));
  put("unit", target.dataset.order.split(",")[row]);
});
if (form?.elements.text.value) form.requestSubmit();
