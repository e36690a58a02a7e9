// Texts with each token colored by how much it looks at the picture, or at a marked place in it.
function render({ model, el }) {
  el.classList.add("hide-words");
  const said = make("p", { className: "hide-said" }), box = make("div");
  el.append(said, box);
  const redraw = () => draw(model, box, said);
  const recolor = () => color(model, box, said);
  model.on("change:groups", redraw);
  for (const name of ["shares", "ends", "chosen", "said"]) model.on(`change:${name}`, recolor);
  redraw();
}

function draw(model, box, said) {
  let number = 0;
  const groups = model.get("groups").map(([title, tokens]) => make("p", {},
    make("span", { className: "hide-title", textContent: title }), ...tokens.map((text) => token(model, text, number++))));
  box.replaceChildren(...groups);
  color(model, box, said);
}

function token(model, text, number) {
  const part = make("span", { className: "hide-token", role: "button", tabIndex: 0, textContent: text || "␣" });
  const choose = () => send(model, { chosen: model.get("chosen") === number ? -1 : number });
  let waiting;
  const hover = (to) => { clearTimeout(waiting); waiting = setTimeout(() => send(model, { hovered: to }), to < 0 ? 120 : 40); };
  part.onpointerenter = () => hover(number);
  part.onpointerleave = () => hover(-1);
  part.onclick = choose;
  part.onkeydown = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  };
  return part;
}

function color(model, box, said) {
  const shares = model.get("shares"), [least, most] = model.get("ends");
  box.querySelectorAll(".hide-token").forEach((part, i) => {
    const strength = Math.round(48 * Math.max((shares[i] ?? 0) - least, 0) / (most - least || 1));
    part.style.background = `color-mix(in srgb, #de8f05 ${strength}%, transparent)`;
    part.setAttribute("aria-pressed", model.get("chosen") === i);
    part.title = `${short(shares[i] ?? 0)} ${model.get("unit")}`;
    part.setAttribute("aria-label", `${part.textContent.trim() || "white space"}: ${part.title}`);
  });
  said.textContent = model.get("said");
}

export default { render };
