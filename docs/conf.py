"""How the documentation is built: ``uv run --group docs sphinx-build -W --keep-going -b html docs docs/_build``.

Nothing is fetched: formulas are MathML, which browsers draw themselves, and fonts and scripts come with the theme.
"""

import shutil
import sys
from pathlib import Path

import bayesgmm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "bayesgmm"
author = "The bayesgmm developers"
project_copyright = author
version = release = bayesgmm.__version__

extensions = [
    "mathml",
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
html_math_renderer = "mathml"

# Docstrings: names in single backticks are links where there is something to link to.
default_role = "py:obj"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Pages and notebooks. The notebooks' stored outputs are shown; nothing runs but the gallery, which says so itself.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_output_stderr = "remove-warn"
nb_merge_streams = True

html_theme = "pydata_sphinx_theme"
html_title = "bayesgmm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "bayesgmm"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# A list of pages at the side only where there is one to move along: the reference and the notebooks.
html_sidebars = {page.stem: [] for page in HERE.glob("*.md") if page.stem not in ("api", "notebooks")}


def copy_notebooks(app) -> None:
    """Lay the notebooks beside the pages: sphinx reads no source outside its own folder."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    notebooks = {path.name: path for path in (HERE.parent / "notebooks").glob("*.ipynb")}
    for old in target.glob("*.ipynb"):
        if old.name not in notebooks:
            old.unlink()
    for name, path in notebooks.items():
        copy = target / name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


def setup(app) -> None:
    app.connect("builder-inited", copy_notebooks)
