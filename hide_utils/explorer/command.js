// The command that reproduces what is shown, with buttons that copy it and that download the arrays behind it.
function nameHandles() {
  for (const handle of document.querySelectorAll(".hide-explorer .noUi-handle:not([aria-label])"))
    handle.setAttribute("aria-label", handle.closest(".widget-hslider").querySelector("label").textContent);
}

function render({ model, el }) {
  const code = make("code"), button = (textContent, onclick) => make("button", { textContent, onclick, className: "jupyter-button" });
  const copy = button("Copy command", () => {
    getSelection().selectAllChildren(code);
    navigator.clipboard?.writeText(code.textContent);
  });
  const arrays = button("Download arrays", () => model.send({ wanted: "arrays" }));
  arrays.title = "rows, maps of every step, regions and settings, as an .npz file for numpy";
  el.append(make("h4", { textContent: "Take it away" }), make("div", { className: "hide-command" }, copy, arrays, code));
  const show = () => { code.textContent = model.get("value"); };
  const save = ({ name }, buffers) => {
    const link = make("a", { href: URL.createObjectURL(new Blob(buffers)), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  show();
  model.on("change:value", show);
  model.on("msg:custom", save);
  const changes = new MutationObserver(nameHandles);  // sliders may come into the page after this widget
  changes.observe(document.body, { childList: true, subtree: true });
  nameHandles();
  return () => changes.disconnect();
}

export default { render };
