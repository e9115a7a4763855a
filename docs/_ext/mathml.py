"""Formulas as MathML, which browsers draw themselves: no script, no network, and screen readers read it."""

import re

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx

KNOWN = {
    r"\operatorname{tr}": r"\mathrm{tr}\,",
    r"\iff": r"\;\Longleftrightarrow\;",
    r"\dots": r"\ldots",
}  # by other names


def convert(formula: str, block: bool) -> str:
    """Return a TeX formula as MathML."""
    for name, known in KNOWN.items():
        formula = re.sub(re.escape(name) + r"(?![a-z])", lambda _, known=known: known, formula)
    return str(latex2mathml.tex2mathml(formula, as_block=block))


def _inline(writer, node: nodes.math) -> None:
    writer.body.append(f'<span class="math">{convert(node.astext(), False)}</span>')
    raise nodes.SkipNode


def _block(writer, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{convert(node.astext(), True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
