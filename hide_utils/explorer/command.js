function nameHandles() {
  for (const handle of document.querySelectorAll(".hide-explorer .noUi-handle:not([aria-label])"))
    handle.setAttribute("aria-label", handle.closest(".widget-hslider").querySelector("label").textContent);
}

function render({ model, el }) {
  el.innerHTML = `<h4>Reproduce</h4><div style="display:flex;gap:8px;align-items:flex-start">
    <button class="jupyter-button" style="width:auto;flex:none">Copy command</button><code></code></div>`;
  const code = el.querySelector("code");
  const show = () => { code.textContent = model.get("value"); };
  show();
  model.on("change:value", show);
  el.querySelector("button").addEventListener("click", () => {
    getSelection().selectAllChildren(code);
    navigator.clipboard?.writeText(code.textContent);
  });
  const changes = new MutationObserver(nameHandles);  // sliders may come into the page after this widget
  changes.observe(document.body, { childList: true, subtree: true });
  nameHandles();
  return () => changes.disconnect();
}

export default { render };
