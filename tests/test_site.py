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

    # As other tests' own models: they are no part of the reference.
    MODELS.register_module(name='Other', module=type('Other', (), {}))
    out = tmp_path_factory.mktemp('site')
    assert main(['-q', '-W', '-n', 'docs/en', str(out)]) == 0
    return out


def anchors(page):
    return set(re.findall(r'\bid="([^"]+)"', page.read_text()))


def test_whatever_is_registered_has_its_place(site):
    pages = (site / 'reference').glob('*.html')
    found = set().union(*map(anchors, pages))
    for registry in (HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS):
        items = registry.module_dict.values()
        own = [i for i in items if i.__module__.startswith('sr4ir_mm.')]
        assert own
        for item in own:
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


def test_tables_are_tables(site):
    for page in site.rglob('*.html'):
        assert '<p>|' not in page.read_text(), page


def test_links_of_the_site_lead_somewhere(site):
    """Those that Sphinx does not look at: to files."""
    for page in site.rglob('*.html'):
        links = re.findall(r'<a [^>]*href="(?!\w+:)([^"#]+)', page.read_text())
        for link in links:
            assert (page.parent / link).exists(), (page, link)


@pytest.mark.parametrize(
    'page', ['README.md', 'CONTRIBUTING.md', 'configs/README.md']
)
def test_links_to_the_site_lead_somewhere(site, page):
    """Those of pages that are not in it."""
    links = r'\]\(([^):#]+)(?:#([^)]+))?\)'
    for link, anchor in re.findall(links, Path(page).read_text()):
        path = Path(page).parent / link
        assert path.exists(), link
        if anchor:
            path = site / path.relative_to('docs/en')
            assert anchor in anchors(path.with_suffix('.html')), anchor
