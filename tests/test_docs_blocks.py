"""Every block of README and docs that a reader would paste.

Configs are built, scripts run, and commands are read by the parsers of the
scripts that they name. A new block needs no entry here.
"""

import ast
import importlib.util
import re
import shlex
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope, root
from mmengine.registry.registry import Registry
from tiny import TASKS, build_model, model_cfg

from sr4ir_mm.__main__ import COMMANDS as COMMANDS_OF_SR4IR
from sr4ir_mm.registry import MODELS

ROOT = Path().absolute()
PAGES = {
    page.name: page
    for page in [Path('README.md'), *Path('docs/en').glob('*.md')]
}
FENCE = re.compile(r'^```(\w*)\n((?:.*\n)*?)```', re.M)
BLOCKS = [
    (page, language, block)
    for page, path in sorted(PAGES.items())
    for language, block in FENCE.findall(path.read_text())
]
# Blocks that a test of their own runs.
ELSEWHERE = {
    'extend.md': 'tests/test_docs.py',
    'inference.md': 'tests/test_apis/test_inference_docs.py',
}


def kind(code):
    """``config``, ``fragment`` of one, ``module``, or ``script``."""
    if re.search(r'^_base_ = ', code, re.M):
        return 'config'
    body = ast.parse(code).body
    if all(isinstance(node, ast.Assign) for node in body):
        return 'fragment'
    if any(isinstance(node, ast.ClassDef) for node in body):
        return 'module'
    return 'script'


def python_blocks(*kinds):
    found = [
        (page, block)
        for page, language, block in BLOCKS
        if language == 'python' and kind(block) in kinds
    ]
    return [
        pytest.param(page, block, id=f'{page}-{i}')
        for i, (page, block) in enumerate(found)
        if page not in ELSEWHERE
    ]


def test_every_language_is_known():
    assert {language for _, language, _ in BLOCKS} <= {
        'python',
        'shell',
        'bash',
        '',  # a tree of folders, or what a program printed
    }
    for path in ELSEWHERE.values():
        assert Path(path).is_file()


# ------------------------------------------------------------------- python


@pytest.mark.parametrize('page,code', python_blocks('config'))
def test_config(page, code, tmp_path):
    """Read as if it lay where its bases are next to it, and built."""
    folder = 'configs/baselines' if "'../" in code else 'configs'
    path = tmp_path / 'new.py'
    path.write_text(
        re.sub(
            r"'(\.\.?/[^']*\.py)'",
            lambda match: f"'{(ROOT / folder / match[1]).resolve()}'",
            code,
        )
    )
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert set(cfg.optim_wrapper) >= set(model.networks)
    assert cfg.train_cfg.type.startswith('sr4ir_mm.')


@pytest.mark.parametrize('page,code', python_blocks('fragment'))
def test_fragment(page, code):
    """Parts of configs: there is everything that they name."""
    Config.fromstring(code, '.py')
    init_default_scope('mmseg')
    registries = [r for r in vars(root).values() if isinstance(r, Registry)]
    for name in re.findall(r"type='([^']+)'", code):
        assert any(is_there(registry, name) for registry in registries), name


def is_there(registry, name):
    with registry.switch_scope_and_registry(None) as own:
        return own.get(name) is not None


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A reader's folder: photographs, configs, a checkpoint and what was
    exported of it."""
    from sr4ir_mm.apis.deployment import export_onnx, make_deployable

    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    for name in ('photos', 'FOLDER'):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / '0.png'), image)
    shutil.copy(tmp_path / 'photos/0.png', tmp_path / 'IMAGE')
    for name in ('configs', 'model_zoo'):
        (tmp_path / name).symlink_to(ROOT / name)
    model = build_model()
    model.cfg = Config(
        dict(default_scope=TASKS['seg']['scope'], model=model_cfg())
    )
    model.dataset_meta = dict(classes=list('abcde'))
    if importlib.util.find_spec('onnx'):
        images = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
        path = str(tmp_path / 'model.onnx')
        export_onnx(make_deployable(model), path, images)
    if importlib.util.find_spec('safetensors'):
        from sr4ir_mm.apis.deployment import save_weights

        save_weights(model, str(tmp_path / 'weights.safetensors'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('page,code', python_blocks('script'))
def test_script(page, code, desk):
    for name in re.findall(r'^(?:import|from) (\w+)', code, re.M):
        if name in ('onnxruntime', 'safetensors'):  # the extra `deploy`
            pytest.importorskip(name)
    names = {}
    if 'CHECKPOINT' in code:
        path = re.search(r"'(configs/\S+\.py)'", code)[1]
        names['CHECKPOINT'] = str(desk / 'checkpoint.pth')
        cfg = Config.fromfile(path)
        init_default_scope(cfg.default_scope)
        weights = MODELS.build(cfg.model).state_dict()
        torch.save(dict(state_dict=weights, meta={}), names['CHECKPOINT'])
    exec(compile(code, page, 'exec'), names)


# -------------------------------------------------------------------- shell

COMMANDS = [
    pytest.param(shlex.split(line, comments=True), id=f'{page}-{line[:50]}')
    for page, language, block in BLOCKS
    if language in ('shell', 'bash')
    for line in block.replace('\\\n', ' ').splitlines()
    if shlex.split(line, comments=True)
]
# What a checkout alone does not have.
UNCHECKED = ('source', 'export', 'mim', 'cd', 'git', 'docker')


@pytest.mark.parametrize('words', COMMANDS)
def test_command(words, monkeypatch, tmp_path):
    for path in ROOT.iterdir():
        if path.name != 'work_dirs':
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    while re.match(r'\w+=', words[0]):  # a variable
        name, value = words.pop(0).split('=', 1)
        inner = re.fullmatch(r'\$\((.*)\)', ' '.join([value, *words]))
        if inner:
            words = shlex.split(inner[1])
    program, *arguments = words
    for word in arguments:  # what a training has left there
        if re.search(r'\.(pth|pt|tgz)$|^CHECKPOINT$', word):
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            Path(word).touch()
    if program in ('python', '$PYTHON'):
        check_script(arguments, monkeypatch)
    elif program == 'sr4ir':
        check_sr4ir(*arguments, monkeypatch=monkeypatch)
    elif program == 'bash':
        assert Path(arguments[0]).is_file()
    elif program == 'pip':
        check_pip(arguments)
    else:
        assert program in UNCHECKED, f'{program}: what is it?'
    for word in arguments:
        if re.match(r'configs/[^{]*\.py$', word):
            assert Path(word).is_file(), word


def check_sr4ir(command, *arguments, monkeypatch):
    if command in ('--help', '--version'):
        return
    script = Path('tools', COMMANDS_OF_SR4IR[command][1])
    check_script([str(script), *arguments], monkeypatch)


def check_script(arguments, monkeypatch):
    if arguments[0] == '-m':
        module = importlib.import_module(arguments[1])
        if not arguments[1].startswith('sr4ir_mm'):
            return None  # that it is there is enough
        arguments = arguments[1:]
    elif arguments[0] == '-c':
        return compile(arguments[1], '-c', 'exec')
    else:
        module = load_script(Path(arguments[0]), monkeypatch)
    monkeypatch.setattr(sys, 'argv', arguments)
    try:
        args = module.parse_args()
    except SystemExit as error:
        pytest.fail(f'{arguments}: {error}')
    options = getattr(args, 'cfg_options', None)
    config = getattr(args, 'config', None)
    if options and config and Path(config).is_file():
        check_options(Config.fromfile(config), options)


def load_script(path, monkeypatch):
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location('script', path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'script', module)  # for dataclasses
    spec.loader.exec_module(module)
    return module


def check_options(cfg, options):
    """Where they belong is there; they themselves may be new."""
    for key in options:
        node = cfg
        for part in key.split('.')[:-1]:
            node = node[int(part) if part.isdigit() else part]


def check_pip(arguments):
    extras = Path('setup.py').read_text()
    for option, value in zip(arguments, arguments[1:]):
        if option in ('-r', '-c'):
            assert Path(value).is_file(), value
    for word in arguments:
        for extra in re.findall(r'^\.\[(.*)\]$', word):
            assert f"'{extra}'" in extras, extra


# -------------------------------------------------------------------- links


def slug(heading):
    words = re.sub(r'[^\w\- ]', '', heading.lower().replace('`', ''))
    return words.replace(' ', '-')


@pytest.mark.parametrize('page', PAGES)
def test_links(page):
    path = PAGES[page]
    text = FENCE.sub('', path.read_text())
    for target in re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', text):
        target = ''.join(target)
        if re.match(r'https?:', target):
            continue
        name, _, anchor = target.partition('#')
        linked = (path.parent / name) if name else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r'^#+ (.*)', linked.read_text(), re.M)
            assert anchor in map(slug, headings), target
