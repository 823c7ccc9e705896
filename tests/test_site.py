"""The site of docs/en, with its reference, is built without warnings."""

import re
from pathlib import Path

import pytest

from sr4ir_mm.registry import HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS

pytest.importorskip('sphinx')
pytest.importorskip('myst_parser')
pytest.importorskip('furo')


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    from sphinx.cmd.build import main

    out = tmp_path_factory.mktemp('site')
    assert main(['-q', '-W', '-n', 'docs/en', str(out)]) == 0
    return out


def anchors(page):
    return set(re.findall(r'\bid="([^"]+)"', page.read_text()))


def test_whatever_is_registered_has_its_place(site):
    pages = (site / 'reference').glob('*.html')
    found = set().union(*map(anchors, pages))
    for registry in (HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS):
        assert registry.module_dict
        for item in registry.module_dict.values():
            assert f'{item.__module__}.{item.__name__}' in found


@pytest.mark.parametrize(
    'page,folder,pattern',
    [
        ('recipes', 'configs/_base_/recipes', '*.py'),
        ('sr_networks', 'configs/_base_/sr_nets', '*.py'),
        ('degradations', 'configs/_base_/degradations', '*.py'),
        ('scripts', 'tools', '*.py'),
    ],
)
def test_whatever_has_a_file_has_its_place(site, page, folder, pattern):
    text = (site / f'reference/{page}.html').read_text()
    for path in Path(folder).glob(pattern):
        assert path.stem in text


def test_scripts_show_their_arguments(site):
    text = (site / 'reference/scripts.html').read_text()
    assert '--auto-scale-lr' in text  # of train.py
    assert '--class CATEGORY' in text  # of a command of analyze.py


def test_links_lead_somewhere(site):
    """Those that Sphinx does not look at: to files, and README's."""
    for page in site.rglob('*.html'):
        for link in re.findall(
            r'<a [^>]*href="(?!\w+:)([^"#]+)', page.read_text()
        ):
            assert (page.parent / link).exists(), (page, link)
    for path, anchor in re.findall(
        r'\]\(([^):#]+)(?:#([^)]+))?\)', Path('README.md').read_text()
    ):
        assert Path(path).exists(), path
        if anchor:
            page = site / Path(path).relative_to('docs/en')
            assert anchor in anchors(page.with_suffix('.html')), anchor
