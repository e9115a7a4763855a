// What core widgets leave undone: sliders, pictures and groups of buttons have no name for a screen reader, and panels
// side by side become too small to read on a narrow page.
const NARROW = 600, GAP = 12; // CSS pixels of a page; a picture's own pixels: more than between two words
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

/** Where to cut pixels: in the middle of the widest empty strip of that zone which leaves the narrowest parts; or NaN. */
function cut({ data, width }, zones) {
  const numbers = new Uint32Array(data.buffer);
  const empty = (x) => {
    for (let i = x; i < numbers.length; i += width) if (numbers[i] !== numbers[0]) return false;
    return true;
  };
  let best = NaN;
  for (const [from, to] of zones) {
    let strip = [0, 0], begun = null;
    for (let x = Math.floor(from * width); x <= Math.ceil(to * width); x++) {
      if (!empty(x)) begun = null;
      else if (x - (begun ??= x) >= strip[1] - strip[0]) strip = [begun, x];
    }
    const middle = Math.round((strip[0] + strip[1]) / 2);
    if (strip[1] - strip[0] >= GAP && !(Math.abs(middle - width / 2) >= Math.abs(best - width / 2))) best = middle;
  }
  return best;
}

/** Show the panels of a picture one beneath another where they have less room than they need side by side. */
function stacked(image, zones, room) {
  const { naturalWidth: width, naturalHeight: height } = image, old = image.nextElementSibling;
  const canvas = old?.matches("canvas.ee-stacked") ? old : document.createElement("canvas");
  canvas.className = "ee-stacked";
  let edge = NaN;
  if (zones.length && width && room > 0 && room < Math.min(NARROW, Number(image.getAttribute("width")))) {
    const whole = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    whole.drawImage(image, 0, 0);
    edge = cut(whole.getImageData(0, 0, width, height), zones);
  }
  image.style.display = edge ? "none" : "";
  if (!edge) return canvas.remove();
  const wide = Math.max(edge, width - edge);
  [canvas.width, canvas.height] = [wide, 2 * height];
  const page = canvas.getContext("2d");
  page.fillStyle = "white";
  page.fillRect(0, 0, canvas.width, canvas.height);
  page.drawImage(image, 0, 0, edge, height, 0, 0, edge, height);
  page.drawImage(image, edge, 0, width - edge, height, 0, height, width - edge, height);
  canvas.style.width = `${Math.min(room, (wide / width) * Number(image.getAttribute("width")))}px`;
  put(canvas, { role: "img", "aria-label": image.alt });
  if (canvas !== old) image.after(canvas);
}

function render({ model, el }) {
  let closed = false;
  const seen = new WeakSet();
  const fit = () => {
    for (const image of el.parentElement?.querySelectorAll("img.widget-image") ?? [])
      stacked(image, model.get("zones"), el.parentElement.clientWidth);
  };
  const sized = new ResizeObserver(fit);
  const name = () => {
    const box = el.parentElement;
    if (!box) return; // it is taken away
    tell(box, model.get("picture"));
    for (const image of box.querySelectorAll("img.widget-image")) {
      if (!seen.has(image)) image.addEventListener("load", fit);
      seen.add(image);
    }
  };
  const changes = new MutationObserver(name);
  const begin = () => {
    if (closed) return;
    if (!el.parentElement) return requestAnimationFrame(begin); // it is put into its box later
    name();
    changes.observe(el.parentElement, CHANGES);
    sized.observe(el.parentElement);
  };
  begin();
  return () => {
    closed = true;
    changes.disconnect();
    sized.disconnect();
  };
}
export default { render };
