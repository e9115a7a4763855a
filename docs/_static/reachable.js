// What is wider than its place can be scrolled by keyboard too: it takes the focus, as long as it is too wide.
function entropicReach() {
  for (const box of document.querySelectorAll("article pre, article div, article table")) {
    const wide = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
    if (wide) box.tabIndex = 0;
    else if (box.dataset.reach) box.removeAttribute("tabindex");
    if (wide) box.dataset.reach = "1";
  }
}
entropicReach();
window.addEventListener("load", entropicReach);
window.addEventListener("resize", entropicReach);
