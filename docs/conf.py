"""The site: the lessons with their frozen pictures, the interface, and pages beside them. Builds without a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE), str(HERE.parent)]

import staging  # noqa: E402  (from _ext)

import entropic_edu  # noqa: E402

staging.stage(HERE)

project = "entropic_edu"
author = "The entropic_edu developers"
copyright = "The entropic_edu developers. Code: MIT. Lessons: CC BY 4.0"
version = release = entropic_edu.__version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
extensions += ["mathml", "links", "stage", "walkers", "gallery", "linked_data", "digits_live", "reachable"]  # of _ext
exclude_patterns = ["_ext", "findings.in.md", "teachers/solutions"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
root_doc = "index"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_block", "attrs_inline"]
myst_heading_anchors = 4
myst_update_mathjax = False
html_math_renderer = "mathml"
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # frozen notebooks hold no widgets, and the page must not ask the network for their code
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = "entropic_edu"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00588f", "color-brand-content": "#00588f"},
    "dark_css_variables": {"color-brand-primary": "#79c3f0", "color-brand-content": "#79c3f0"},
}
