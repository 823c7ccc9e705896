"""The site: ``sphinx-build -W -n docs/en docs/_build`` (see get_started.md).

Its pages are the Markdown files beside this one, and what make_reference.py
writes of the code.
"""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.util.nodes import make_refnode

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import make_reference  # noqa: E402

import sr4ir_mm  # noqa: E402

project = 'sr4ir_mm'
html_title = f'{project} {sr4ir_mm.__version__}'
html_theme = 'furo'
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['results']
myst_heading_anchors = 4  # as GitHub makes them
autodoc_typehints = 'none'  # the docstrings have them
add_module_names = False
default_role = 'literal'
napoleon_use_param = napoleon_use_rtype = False


def to_site(app, docname: str, source: list) -> None:
    """Links to files of the repository lead to their pages here."""
    folder = HERE / Path(docname).parent
    source[0] = re.sub(
        make_reference.LINK,
        lambda link: make_reference.file_link(folder, link[1]) or link[0],
        source[0],
    )


def find_short(app, env, node, contnode: nodes.Node):
    """What docstrings name without its module: ``:class:`Loss```. Names of
    other packages, and of what has no page, stay as they are."""
    target = node['reftarget'].lstrip('.')
    objects = env.domains['py'].objects
    found = [name for name in objects if f'.{name}'.endswith(f'.{target}')]
    if len(found) == 1:
        to = objects[found[0]]
        return make_refnode(
            app.builder, node['refdoc'], to.docname, to.node_id, contnode
        )
    if make_reference.exists(target):
        return contnode
    return None


def setup(app) -> None:
    app.connect('builder-inited', lambda app: make_reference.main())
    app.connect('source-read', to_site)
    app.connect('missing-reference', find_short)
