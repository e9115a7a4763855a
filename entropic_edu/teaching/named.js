// Core widgets leave sliders, pictures and groups of buttons without a name: a screen reader is told them here.
const CHANGES = { subtree: true, childList: true, characterData: true, attributes: true };
CHANGES.attributeFilter = ["class", "aria-valuetext"];

function put(part, attributes) {
  for (const [name, value] of Object.entries(attributes)) if (part.getAttribute(name) !== value) part.setAttribute(name, value);
}

const said = (part) => (part ? part.textContent.trim() : "");

function tell(box, picture) {
  for (const handle of box.querySelectorAll(".noUi-handle")) {
    const turn = handle.closest(".widget-slider");
    const value = said(turn.querySelector(".widget-readout")); // the handle itself says the number of the option
    put(handle, { "aria-label": said(turn.querySelector(".widget-label")), ...(value && { "aria-valuetext": value }) });
  }
  for (const group of box.querySelectorAll(".widget-toggle-buttons")) {
    put(group, { role: "group", "aria-label": said(group.querySelector(".widget-label")) });
    for (const button of group.querySelectorAll("button"))
      put(button, { "aria-pressed": String(button.classList.contains("mod-active")) });
  }
  for (const group of box.querySelectorAll(".widget-radio"))
    put(group, { role: "radiogroup", "aria-label": said(group.previousElementSibling?.querySelector("p")) });
  for (const image of box.querySelectorAll("img.widget-image")) put(image, { alt: picture });
}

function render({ model, el }) {
  let closed = false;
  const name = () => el.parentElement && tell(el.parentElement, model.get("picture")); // none once it is taken away
  const changes = new MutationObserver(name);
  const begin = () => {
    if (closed) return;
    if (!el.parentElement) return requestAnimationFrame(begin); // it is put into its box later
    name();
    changes.observe(el.parentElement, CHANGES);
  };
  begin();
  return () => {
    closed = true;
    changes.disconnect();
  };
}
export default { render };
