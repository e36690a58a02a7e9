"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const AT_ONCE = 24;
const CHANGES = {
  all: ["every case here", () => true],
  failures: ["not right", one => one.correct !== true],
  gained: [`only ${data.method} right`, one => one.change === "gained"],
  lost: [`only ${data.baseline} right`, one => one.change === "lost"],
  "both wrong": ["both wrong", one => one.change === "both wrong"],
  "both right": ["both right", one => one.change === "both right"],
  error: ["no answer", one => one.correct === null],
};
const SORTS = {
  number: ["order of the run", one => one.number],
  recall: ["share of true boxes found", one => one.recall],
  kept: ["share of the picture kept", one => one.kept],
  margin: ["how sure the answer is", one => one.margin],
  regions: ["number of regions", one => one.regions.length],
};
const by = id => document.getElementById(id);
data.cases.forEach((one, number) => { one.number = number; });

function make(tag, text, ...classes) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;  // a text, whatever stands in it
  node.classList.add(...classes);
  return node;
}

function choices(id, entries) {
  for (const [value, text] of entries) by(id).append(new Option(text, value));
}

const count = test => data.cases.filter(test).length;
const values = name => [...new Set(data.cases.map(one => one[name]).filter(Boolean))].sort();
choices("which", Object.entries(CHANGES).filter(([name, [, test]]) => name === "all" || count(test))
  .map(([name, [text, test]]) => [name, `${text} (${count(test)})`]));
choices("kind", [["", "all"], ...values("kind").map(kind => [kind, kind.replaceAll("_", " ")])]);
choices("cause", [["", "all"], ...Object.keys(data.causes).filter(name => count(one => one.cause === name))
  .map(name => [name, `${name === "none" ? "well localised" : name} (${count(one => one.cause === name)})`])]);
choices("sort", Object.entries(SORTS).map(([name, [text]]) => [name, text]));

function box(corners, color, dashed, side) {
  return [["#ffffff", 0.011], [color, 0.005]].map(([stroke, width]) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const [x0, y0, x1, y1] = corners;
    const given = { x: x0, y: y0, width: x1 - x0, height: y1 - y0, stroke, "stroke-width": width * side };
    if (dashed && stroke === color) given["stroke-dasharray"] = `${0.016 * side} ${0.01 * side}`;
    for (const [name, value] of Object.entries(given)) rect.setAttribute(name, value);
    return rect;
  });
}

function picture(one) {
  const figure = make("figure");
  const [width, height] = one.size;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `picture with ${one.regions.length} regions and ${one.truth.length} true boxes`);
  const image = document.createElementNS("http://www.w3.org/2000/svg", "image");
  image.setAttribute("href", by(`picture${one.number}`).textContent);
  image.setAttribute("width", width);
  image.setAttribute("height", height);
  svg.append(image, ...one.regions.flatMap(corners => box(corners, "#0173b2", false, Math.max(width, height))),
    ...one.truth.flatMap(corners => box(corners, "#029e73", true, Math.max(width, height))));
  const truth = one.truth.length ? "; dashed: true boxes" : "";
  figure.append(svg, make("figcaption", `${width} × ${height}; solid: regions${truth}`));
  return figure;
}

function compact(one) {
  const figure = make("figure", null, "compact");
  const stored = by(`compact${one.number}`);
  if (stored) {
    const image = make("img");
    image.src = stored.textContent;
    image.alt = "compact image of the regions";
    figure.append(image);
  }
  figure.append(make("figcaption", stored ? "compact image of the regions" : "no region"));
  return figure;
}

const MARKS = new Map([[true, ["✓", "yes"]], [false, ["✗", "no"]], [null, ["–", "none"]]]);

function replies(one) {
  const table = make("table");
  for (const reply of one.replies) {
    const [mark, name] = MARKS.get(reply.correct);
    const row = make("tr");
    const letter = reply.letter && reply.letter !== reply.reply.trim() ? `${reply.letter} · ` : "";
    const said = reply.error ?? `${letter}${reply.reply || "(empty)"}`;
    row.append(make("td", mark, name), make("th", reply.method), make("td", said));
    table.append(row);
  }
  return table;
}

function facts(one) {
  const line = make("p", null, "facts");
  const badge = (text, title) => { const node = make("span", text, "badge"); node.title = title; line.append(node); };
  if (one.change) badge(one.change, `${data.method} against ${data.baseline}`);
  if (one.cause) badge(one.cause === "none" ? "well localised" : one.cause, data.causes[one.cause]);
  const share = (value, digits) => `${(100 * value).toFixed(digits)} %`;
  const parts = [one.id, one.kind?.replaceAll("_", " "), one.recall !== null && `true boxes found: ${share(one.recall, 0)}`,
    one.kept !== null && `kept: ${share(one.kept, 1)}`, one.entities && `searched: ${one.entities}`, one.fallback];
  line.append(parts.filter(Boolean).join(" · "));
  return line;
}

function card(one) {
  const node = make("article");
  node.dataset.id = one.id;
  node.append(make("h2", one.question ?? one.id));
  if (one.why) node.append(make("p", one.why, "why"));
  if (one.size) {
    const line = make("div", null, "pictures");
    line.append(picture(one), compact(one));
    node.append(line);
  }
  if (one.options?.length) {
    const list = make("ol");
    list.type = "A";
    one.options.forEach((text, i) => {
      const right = one.label === String.fromCharCode(65 + i);
      list.append(make("li", text, ...(right ? ["right"] : [])));
    });
    node.append(list);
  } else if (one.answer) node.append(make("p", `right: ${one.answer}`, "right"));
  node.append(replies(one), facts(one));
  return node;
}

let shown = [], drawn = 0, asked = null;

function more() {
  by("cases").append(...shown.slice(drawn, drawn + AT_ONCE).map(card));
  drawn = Math.min(drawn + AT_ONCE, shown.length);
  by("more").hidden = drawn >= shown.length;
}

function update() {
  const now = JSON.stringify(["which", "kind", "cause", "words", "sort", "order"].map(id => by(id).value));
  if (now === asked) return;  // what was drawn with "Show more" stays
  asked = now;
  const words = by("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = one => [one.id, one.question, ...(one.options ?? []), ...one.replies.map(reply => reply.reply)].join(" ");
  shown = data.cases.filter(one => CHANGES[by("which").value][1](one)
    && (!by("kind").value || one.kind === by("kind").value)
    && (!by("cause").value || one.cause === by("cause").value)
    && (!words.length || words.every(word => text(one).toLowerCase().includes(word))));
  const [, key] = SORTS[by("sort").value];
  const sign = Number(by("order").value);
  const missing = value => value === null || value === undefined;  // stand last in either order
  shown.sort((a, b) => missing(key(a)) - missing(key(b)) || sign * (key(a) - key(b)) || a.number - b.number);
  by("count").textContent = `${shown.length} of ${data.cases.length} cases`;
  by("cases").replaceChildren();
  drawn = 0;
  more();
}

for (const type of ["input", "change"]) by("filters").addEventListener(type, update);
by("filters").addEventListener("submit", event => event.preventDefault());
by("more").addEventListener("click", more);
update();
