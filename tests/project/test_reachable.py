"""What the site mends in its theme's pages, each with a page as the theme writes it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_ext"))
import reachable


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ('<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'),
        ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="All pages">'),
        ('<aside class="toc-drawer no-toc">', '<aside class="toc-drawer no-toc" aria-label="On this page">'),
        ('<th class="head"><p></p></th>', '<td class="head"></td>'),
        ('<div id="search-results">', '<h1>Search</h1>\n<div id="search-results">'),
        ("<dl>\n<dd>a,</dd>\n<dd>b</dd>\n</dl>", '<span class="ee-lines"><span>a,</span> <span>b</span> </span>'),
        ("<li>a</li>\n<ul><li>b</li>\n</ul><li>c</li>", "<li>a\n<ul><li>b</li>\n</ul></li>\n<li>c</li>"),
    ],
)
def test_what_is_wrong_is_mended_once(wrong, right):
    assert reachable.mended(f"<p>{wrong}</p>") == f"<p>{right}</p>"
    assert reachable.mended(right) == right


def test_lists_of_definitions_and_lists_in_lists_stay():
    for page in (
        '<dl class="simple">\n<dt>a</dt><dd>b</dd>\n</dl>',
        "<ul>\n<li>a\n<ul>\n<li>b</li>\n</ul>\n</li>\n</ul>",
    ):
        assert reachable.mended(page) == page
