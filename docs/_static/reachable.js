// What is wider than its place can be scrolled by keyboard too: it takes the focus, as long as it is too wide.
function entropicReach() {
  const boxes = [...document.querySelectorAll("article pre, article div, article table")];
  const wide = boxes.map((box) => box.scrollWidth > box.clientWidth + 1); // all read before anything is written
  boxes.forEach((box, i) => {
    if (wide[i] && /auto|scroll/.test(getComputedStyle(box).overflowX)) [box.tabIndex, box.dataset.reach] = [0, ""];
    else if ("reach" in box.dataset) {
      box.removeAttribute("tabindex");
      delete box.dataset.reach;
    }
  });
}
window.addEventListener("load", entropicReach);
window.addEventListener("resize", entropicReach);
