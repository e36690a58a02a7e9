// A picture with a map over it: zoom, pan, opacity, the value under the pointer, a color bar, boxes drawn by hand.
const TOOLS = {
  move: ["✥ move", "drag the picture; Ctrl and the wheel zoom"],
  box: ["▭ own region", "draw a region of your own, which stands in for the regions that were found"],
  ask: ["◎ who looks?", "mark a place, by a click or a box: which tokens look there?"],
};
const DASHES = { truth: [5, 5], asked: [2, 3] };

function render({ model, el }) {
  const pane = { model, tool: "move", base: null, drag: null };
  pane.canvas = make("canvas", { tabIndex: 0, role: "img", className: "hide-canvas" });
  pane.reading = make("span", { className: "hide-reading" });
  pane.bar = make("span", { className: "hide-bar" });
  el.classList.add("hide-map");
  el.append(tools(pane), pane.canvas, make("div", { className: "hide-foot" }, pane.bar, pane.reading));
  const redraw = () => draw(pane);
  const load = () => decoded(model.get("picture")).then((base) => { pane.base = base; redraw(); });
  model.on("change:picture", load);
  model.on("change", redraw);
  const sized = new ResizeObserver(redraw);
  sized.observe(el);
  listen(pane);
  load();
  return () => sized.disconnect();  // anywidget forgets what listens to the model
}

function tools(pane) {
  const bar = make("div", { className: "hide-tools", role: "toolbar", "aria-label": "tools of the picture" });
  const press = (name, text, title, action) => {
    const button = make("button", { textContent: text, title, onclick: action, className: "jupyter-button" });
    button.dataset.tool = name;
    bar.append(button);
    return button;
  };
  const choose = (name) => {
    pane.tool = name;
    for (const button of bar.querySelectorAll("[aria-pressed]"))
      button.setAttribute("aria-pressed", button.dataset.tool === name);
    pane.canvas.style.cursor = name === "move" ? "grab" : "crosshair";
  };
  const tool = (name) => {
    const button = press(name, ...TOOLS[name], () => choose(name));
    button.setAttribute("aria-pressed", false);
    return button;
  };
  tool("move");
  press("in", "+", "zoom in", () => zoomed(pane, 1.5));
  press("out", "−", "zoom out", () => zoomed(pane, 1 / 1.5));
  press("whole", "whole", "show the whole picture", () => send(pane.model, { zoom: [1, 0.5, 0.5] }));
  pane.slider = make("input", { type: "range", min: 0, max: 1, step: 0.05, title: "how opaque the map is" });
  pane.slider.setAttribute("aria-label", "opacity of the map");
  pane.slider.oninput = () => send(pane.model, { opacity: +pane.slider.value });
  bar.append(make("label", {}, "opacity ", pane.slider));
  const drawing = [tool("box"), tool("ask"), press("clear", "clear marks", "forget the regions of your own and the marked place",
    () => send(pane.model, { own: [], asked: [] }))];
  // A pane on which nothing is drawn keeps their room, so that two pictures beside each other stand at one height.
  if (pane.model.get("fixed")) for (const button of drawing) Object.assign(button, { disabled: true }).style.visibility = "hidden";
  choose("move");
  return bar;
}

// Zoom by a factor about a point in parts of the picture's sides; the middle of what is shown where there is none.
function zoomed(pane, factor, about = null) {
  const [k, x, y] = pane.model.get("zoom"), next = Math.min(Math.max(k * factor, 1), 40);
  const [u, v] = about ?? [x, y];
  moved(pane, next, u + (x - u) * k / next, v + (y - v) * k / next);
}

function moved(pane, k, x, y) {
  const inside = (part) => Math.min(Math.max(part, 0.5 / k), 1 - 0.5 / k);
  send(pane.model, { zoom: [k, inside(x), inside(y)] });
}

function place(pane, event) {  // of the pointer, in parts of the picture's sides
  const box = pane.canvas.getBoundingClientRect(), [k, x, y] = pane.model.get("zoom");
  const part = (at, start, length, middle) => Math.min(Math.max((at - start) / length / k + middle - 0.5 / k, 0), 1);
  return [part(event.clientX, box.left, box.width, x), part(event.clientY, box.top, box.height, y)];
}

function cell(pane, [u, v]) {
  const [h, w] = pane.model.get("grid_hw");
  return [Math.min(Math.floor(v * h), h - 1), Math.min(Math.floor(u * w), w - 1)];
}

function listen(pane) {
  const { canvas } = pane;
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    pane.drag = { from: place(pane, event), to: place(pane, event), at: [event.clientX, event.clientY] };
  };
  canvas.onpointermove = (event) => {
    const here = place(pane, event);
    say(pane, here);
    if (!pane.drag) return;
    if (pane.tool === "move") return dragged(pane, event);
    pane.drag.to = here;
    draw(pane);
  };
  canvas.onpointerup = () => { const { drag } = pane; pane.drag = null; if (drag) drop(pane, drag); };
  canvas.onpointerleave = () => { if (!pane.drag) pane.reading.textContent = ""; };
  canvas.ondblclick = () => send(pane.model, { zoom: [1, 0.5, 0.5] });
  canvas.onwheel = (event) => {
    if (!event.ctrlKey && !event.metaKey) return;  // the page's own
    event.preventDefault();
    zoomed(pane, event.deltaY < 0 ? 1.2 : 1 / 1.2, place(pane, event));
  };
  canvas.onkeydown = (event) => {
    const [k, x, y] = pane.model.get("zoom"), step = 0.1 / k;
    const to = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (to) moved(pane, k, x + to[0], y + to[1]);
    else if (event.key === "+" || event.key === "-") zoomed(pane, event.key === "+" ? 1.5 : 1 / 1.5);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
}

function dragged(pane, event) {
  const box = pane.canvas.getBoundingClientRect(), [k, x, y] = pane.model.get("zoom"), [left, top] = pane.drag.at;
  moved(pane, k, x - (event.clientX - left) / box.width / k, y - (event.clientY - top) / box.height / k);
  pane.drag.at = [event.clientX, event.clientY];
}

function drop(pane, { from, to }) {
  const [W, H] = pane.model.get("size_wh"), [h, w] = pane.model.get("grid_hw");
  const [x0, x1] = [from[0], to[0]].sort((a, b) => a - b), [y0, y1] = [from[1], to[1]].sort((a, b) => a - b);
  const small = (x1 - x0) * W < 2 || (y1 - y0) * H < 2, [row, column] = cell(pane, from);
  if (pane.tool === "box" && !small) {
    const drawn = [x0 * W, y0 * H, x1 * W, y1 * H].map(Math.round);
    send(pane.model, { own: [...pane.model.get("own"), drawn] });
  } else if (pane.tool === "ask") {
    const patch = [column / w, row / h, (column + 1) / w, (row + 1) / h];
    send(pane.model, { asked: small ? patch : [x0, y0, x1, y1] });
  }
  draw(pane);
}

function say(pane, here) {
  const [W, H] = pane.model.get("size_wh"), [, w] = pane.model.get("grid_hw");
  if (!pane.values?.length) return;
  const [row, column] = cell(pane, here), value = pane.values[row * w + column];
  const pixel = [here[0] * W, here[1] * H].map(Math.floor);
  pane.reading.textContent = `${short(value)} at x ${pixel[0]}, y ${pixel[1]} px (row ${row + 1}, column ${column + 1})`;
}

function draw(pane) {
  const { model, canvas } = pane, [W, H] = model.get("size_wh"), opacity = model.get("opacity");
  const width = Math.min(canvas.parentElement.clientWidth, 640, 640 * W / H), ratio = window.devicePixelRatio || 1;
  if (!(width > 0)) return;
  Object.assign(canvas.style, { width: `${width}px`, height: `${width * H / W}px` });
  resized(canvas, Math.round(width * ratio), Math.round(width * ratio * H / W));
  canvas.setAttribute("aria-label", model.get("meaning"));
  pane.slider.value = opacity;
  pane.values = new Float32Array(bytes(model.get("values")).buffer);
  const [k, x, y] = model.get("zoom"), context = canvas.getContext("2d"), { width: w, height: h } = canvas;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, w, h);
  if (pane.base) context.drawImage(backdrop(pane, w, h), 0, 0);
  context.setTransform(w * k, 0, 0, h * k, w * (0.5 - x * k), h * (0.5 - y * k));  // the picture is the unit square
  context.imageSmoothingEnabled = false;
  if (pane.values.length) context.drawImage(heat(pane.values, model.get("grid_hw"), model.get("top"), opacity), 0, 0, 1, 1);
  hatch(pane, context);
  const to = ([x0, y0, x1, y1]) => {
    const [a, b] = [x0, x1].map((u) => w * (0.5 + (u - x) * k)), [c, d] = [y0, y1].map((v) => h * (0.5 + (v - y) * k));
    return [a, c, b - a, d - c];
  };
  context.setTransform(1, 0, 0, 1, 0, 0);
  outlines(pane, context, to, ratio);
  legend(pane);
}

// The picture as it is shown, in the canvas's own pixels. Scaling it anew at each redraw would take most of that time.
function backdrop(pane, w, h) {
  const zoom = pane.model.get("zoom"), key = [w, h, ...zoom].join(), [k, x, y] = zoom;
  if (pane.scaled?.key === key && pane.scaled.base === pane.base) return pane.scaled.canvas;
  const canvas = make("canvas", { width: w, height: h }), context = canvas.getContext("2d");
  context.setTransform(w * k, 0, 0, h * k, w * (0.5 - x * k), h * (0.5 - y * k));
  context.drawImage(pane.base, 0, 0, 1, 1);
  pane.scaled = { key, base: pane.base, canvas };
  return canvas;
}

function hatch(pane, context) {  // cells that this pane keeps and the other does not
  const marked = bytes(pane.model.get("marked")), [h, w] = pane.model.get("grid_hw");
  context.strokeStyle = pane.model.get("box_colors").differs;
  context.lineWidth = 0.12 / Math.max(h, w);
  for (let at = 0; at < marked.length; at++) {
    if (!marked[at]) continue;
    const [row, column] = [Math.floor(at / w), at % w];
    context.beginPath();
    context.moveTo(column / w, (row + 1) / h);
    context.lineTo((column + 1) / w, row / h);
    context.stroke();
  }
}

function outlines(pane, context, to, ratio) {
  const { model, drag, tool } = pane, [W, H] = model.get("size_wh"), colors = model.get("box_colors");
  const parts = ([x0, y0, x1, y1]) => [x0 / W, y0 / H, x1 / W, y1 / H];
  const outline = (box, kind) => {
    for (const [color, width] of [[INK, 4], [colors[kind], 2]]) {
      Object.assign(context, { strokeStyle: color, lineWidth: width * ratio });
      context.setLineDash(color === INK ? [] : (DASHES[kind] ?? []).map((length) => length * ratio));
      context.strokeRect(...to(box));
    }
  };
  for (const kind of ["truth", "regions", "differs", "own"])
    for (const box of model.get(kind)) outline(parts(box), kind);
  if (model.get("asked").length) outline(model.get("asked"), "asked");
  if (drag && tool !== "move") outline([...drag.from, ...drag.to], tool === "box" ? "own" : "asked");
}

function legend(pane) {
  const top = pane.model.get("top"), stops = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1];
  const colors = stops.map((part) => `rgb(${COLORS.slice(3 * Math.round(255 * part), 3 * Math.round(255 * part) + 3)})`);
  const ramp = make("span", { className: "hide-ramp" });
  ramp.style.background = `linear-gradient(to right, ${colors})`;
  const ticks = [0, top / 2, top].map((value) => make("span", { textContent: short(value) }));
  pane.bar.replaceChildren(make("span", { textContent: pane.model.get("shown") }),
    make("span", { className: "hide-scale" }, ramp, make("span", { className: "hide-ticks" }, ...ticks)));
}

export default { render };
