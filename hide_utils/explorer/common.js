// What the explorer's widgets share. It stands before each of their files; COLORS (256 × 3 bytes) stand before it.
const INK = "rgb(20, 20, 20)";  // dark edge of a line, so that it stands out from a map's bright end

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  element.append(...children);
  return element;
}

function bytes(view) {  // of a trait, as an array that starts at a multiple of four
  return view ? new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)) : new Uint8Array();
}

function decoded(view) {  // a JPEG of a trait; null where there is none
  return view?.byteLength ? createImageBitmap(new Blob([bytes(view)], { type: "image/jpeg" })) : Promise.resolve(null);
}

// A map of h × w values as a canvas with a pixel for each cell: the higher, the brighter and the less transparent. Cells
// of value 0 are as opaque as `least` says, in parts of the others.
function heat(values, [h, w], top, opacity, least = 0.25) {
  if (!heat.canvas) heat.canvas = make("canvas");  // one for all: it is drawn elsewhere before the next map comes
  resized(heat.canvas, Math.max(w, 1), Math.max(h, 1));
  const { canvas } = heat, context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  for (let cell = 0; cell < h * w; cell++) {
    const level = top > 0 ? Math.min(Math.max(values[cell] / top, 0), 1) : 0, color = 3 * Math.round(255 * level);
    for (let i = 0; i < 3; i++) image.data[4 * cell + i] = COLORS[color + i];
    image.data[4 * cell + 3] = 255 * opacity * (least + (1 - least) * level);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function resized(canvas, width, height) {  // a canvas that is given its size, even the same, is made anew
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

function short(value) {  // a number in a few characters
  const size = Math.abs(value);
  return size && (size < 0.001 || size >= 10000) ? value.toExponential(1) : String(+value.toPrecision(3));
}

function send(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}
