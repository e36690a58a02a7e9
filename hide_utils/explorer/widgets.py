"""Two widgets that ipywidgets lacks: a picture with a text in its place, and a command that can be copied."""

from __future__ import annotations

import base64
import html

import anywidget
import ipywidgets as w
import traitlets


class ImagePane(w.HTML):
    """A picture with a text for whoever cannot see it. `widgets.Image` has no such text and fails with a tooltip.

    Args:
        meaning: that text.
        side: largest width and height, in CSS pixels.
    """

    def __init__(self, meaning: str, side: int) -> None:
        super().__init__()
        self.meaning, self.side = meaning, side

    def show(self, jpeg: bytes) -> None:
        """Show an encoded picture."""
        data = base64.b64encode(jpeg).decode()
        style = f"width:100%;max-width:{self.side}px;max-height:{self.side}px"
        self.value = f'<img alt="{html.escape(self.meaning)}" style="{style}" src="data:image/jpeg;base64,{data}">'


class CommandPane(anywidget.AnyWidget):
    """A command with a button that selects it and, where the browser allows, copies it.

    While it is shown, it also names the handles of the explorer's sliders by the text of their labels. The keyboard and
    screen readers reach a handle, and ipywidgets leaves it without a name.
    """

    value = traitlets.Unicode().tag(sync=True)
    _esm = """
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
    """
    # Colors come from the theme, so that dark and light look alike. Only the pictures have colors of their own.
    _css = """
    .hide-explorer .widget-label, .hide-explorer .widget-html-content { color: var(--jp-content-font-color1, inherit); }
    .hide-explorer .widget-html-content { line-height: 1.4; }
    .hide-explorer img { display: block; object-fit: contain; object-position: left top; }
    .hide-explorer h4, .hide-explorer p { margin: 2px 0; }
    .hide-explorer td, .hide-explorer code { color: var(--jp-content-font-color1, inherit); }
    .hide-explorer code { overflow-wrap: anywhere; white-space: pre-wrap; }
    .hide-explorer :focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
    """
