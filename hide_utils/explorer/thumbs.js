// Small maps in a row, each a button: tokens to count, a layer to read, heads to average. A line may run under them.
function render({ model, el }) {
  const strip = { model, items: [], base: null, timer: null };
  strip.line = make("div", { className: "hide-line" });
  strip.box = make("div", { className: "hide-thumbs" });
  strip.said = make("span", { className: "hide-said" });
  strip.play = make("button", { textContent: "▶ play", className: "jupyter-button", onclick: () => play(strip) });
  strip.play.title = "go through all, one after another";
  el.classList.add("hide-gallery");
  el.append(make("div", { className: "hide-tools" }, strip.play, strip.said), strip.box);
  const redraw = () => draw(strip);
  const load = () => decoded(model.get("picture")).then((base) => { strip.base = base; strip.items = []; redraw(); });
  model.on("change:picture", load);
  model.on("change", redraw);
  load();
  return () => clearInterval(strip.timer);
}

function play(strip) {
  const { model } = strip;
  if (strip.timer) { clearInterval(strip.timer); strip.timer = null; }
  else {
    const next = () => {
      if (!strip.box.isConnected) return clearInterval(strip.timer);
      send(model, { chosen: [((model.get("chosen")[0] ?? -1) + 1) % model.get("labels").length] });
    };
    strip.timer = setInterval(next, 600);
    next();
  }
  strip.play.textContent = strip.timer ? "■ stop" : "▶ play";
}

function pressed(strip, number) {
  const { model } = strip, chosen = model.get("chosen");
  if (model.get("disabled")) return;
  if (!model.get("multiple")) return send(model, { chosen: [number] });
  const kept = chosen.filter((one) => one !== number);
  send(model, { chosen: kept.length < chosen.length ? kept : [...chosen, number].sort((a, b) => a - b) });
}

function draw(strip) {
  const { model } = strip, labels = model.get("labels"), below = model.get("below"), chosen = model.get("chosen");
  if (strip.items.length !== labels.length) fill(strip, labels.length);
  const maps = bytes(model.get("maps")), [h, w] = model.get("grid_hw"), size = h * w;
  strip.items.forEach((item, i) => {
    const { button, name, number } = item, on = chosen.includes(i);
    name.textContent = labels[i];
    number.textContent = below[i] ?? "";
    button.setAttribute("aria-pressed", on);
    button.disabled = model.get("disabled");
    button.title = `${model.get("does")} ${labels[i]}`;
    paint(strip, item, maps.subarray(i * size, (i + 1) * size), [h, w], on || !model.get("dims"));
  });
  strip.play.hidden = !model.get("playable");
  strip.said.textContent = model.get("said");
  line(strip, model.get("line"), chosen);
}

function fill(strip, n) {
  strip.items = Array.from({ length: n }, (_, i) => {
    const canvas = make("canvas"), name = make("span"), number = make("span", { className: "hide-number" });
    const button = make("button", { className: "hide-thumb", onclick: () => pressed(strip, i) }, canvas, name, number);
    return { button, canvas, name, number };
  });
  strip.box.style.gridTemplateColumns = `repeat(${n}, minmax(34px, max-content))`;  // the line runs under all of them
  strip.box.replaceChildren(...strip.items.map((item) => item.button), strip.line);
}

function paint(strip, item, values, [h, w], on) {
  const [W, H] = strip.model.get("size_wh"), side = strip.model.get("side") * 2, { canvas } = item;
  const key = [W, H, h, w, on].join(), seen = item.seen;
  if (seen?.key === key && seen.values.every((value, i) => value === values[i])) return;
  item.seen = { key, values };
  resized(canvas, Math.round(side * Math.min(W / H, 1)), Math.round(side * Math.min(H / W, 1)));
  const context = canvas.getContext("2d");
  canvas.style.width = `${canvas.width / 2}px`;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = true;
  context.filter = on ? "none" : "grayscale(1)";
  if (strip.base) context.drawImage(strip.base, 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  context.imageSmoothingEnabled = false;
  if (!on) return;
  const map = strip.base ? heat(values, [h, w], 255, 0.8) : heat(values, [h, w], 255, 1, 1);
  context.drawImage(map, 0, 0, canvas.width, canvas.height);
}

// One value an item, as a line as wide as all items, with a dot where the chosen one stands.
function line(strip, values, chosen) {
  const { line: under } = strip, n = values.length;
  under.hidden = !n;
  if (!n) return;
  const low = Math.min(...values, 0), high = Math.max(...values, low + 1e-9);
  const x = (i) => (100 * (i + 0.5)) / n, y = (value) => 34 - (30 * (value - low)) / (high - low);
  const points = values.map((value, i) => `${x(i)},${y(value)}`).join(" ");
  const svg = '<polyline fill="none" stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke" points="';
  under.innerHTML = `<svg viewBox="0 0 100 36" preserveAspectRatio="none">${svg}${points}"/></svg>`;
  for (const i of chosen) {
    const dot = make("i");
    Object.assign(dot.style, { left: `${x(i)}%`, top: `${y(values[i])}px` });
    under.append(dot);
  }
}

export default { render };
