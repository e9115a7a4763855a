"""axe-core over a page: what a keyboard or a screen reader cannot use, said one by one.

A page is looked at in three shapes, and each rule where it can tell something: colours in light and dark, all else wide
and narrow.
"""

from functools import cache
from pathlib import Path

import pytest

COLOURS = ("color-contrast", "link-in-text-block")
WITHOUT = {"rules": {rule: {"enabled": False} for rule in COLOURS}}
SHAPES = {  # width, scheme, and axe's options
    "1280 light": (1280, "light", {}),
    "1280 dark": (1280, "dark", {"runOnly": list(COLOURS)}),
    "320 light": (320, "light", WITHOUT),
}
LOOK = """async ([parts, options]) => {
  const context = parts ? { include: parts.map(part => [part]) } : document;
  const { violations, passes } = await axe.run(context, { resultTypes: ["violations"], ...options });
  const told = violations.flatMap(({ id, nodes }) => nodes.map(({ target, any, all, none }) =>
    `${id} at ${target}: ${[...any, ...all, ...none][0]?.message}`));
  return [told, passes.length];
}"""


@cache
def script():
    """axe-core, as a package brings it."""
    axe = pytest.importorskip("axe_playwright_python", reason='axe comes with pip install "entropic-edu[dev]"')
    return (Path(axe.__file__).parent / "axe.min.js").read_text("utf-8")


def violations(page, *parts, options=WITHOUT):
    """Return what is wrong on a page, or in the parts of it that selectors name; at least one rule must have looked."""
    page.evaluate(script())
    told, passed = page.evaluate(LOOK, [list(parts) or None, options])
    assert passed or told, f"axe found nothing to look at in {parts}"
    return told


def look(browser, addresses, shape):
    """Return what is wrong on each of some pages in a shape, by address; pages without fault are left out."""
    width, scheme, options = SHAPES[shape]
    settings = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "reduced_motion": "reduce"}
    context, found = browser.new_context(**settings), {}
    for address in addresses:
        page = context.new_page()
        page.goto(address)
        if told := violations(page, options=options):
            found[address] = told
        page.close()
    context.close()
    print(f"axe: {len(addresses)} pages at {shape}, {sum(map(len, found.values()))} violations")
    return found
