"""What docs/en/inference.md tells readers to paste runs."""

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import cv2
import pytest

ROOT = Path().resolve()
TEXT = Path('docs/en/inference.md').read_text()
BLOCKS = re.findall(r'```(\w+)\n((?:.*\n)*?)```', TEXT)
COMMANDS = [
    line
    for language, block in BLOCKS
    if language == 'shell'
    for line in block.splitlines()
]
CODE = ''.join(block for language, block in BLOCKS if language == 'python')


@pytest.fixture
def desk(tmp_path, monkeypatch, write_checkpoint, make_image, write_video):
    """A reader's folder: photographs, in shards as well, a clip and a
    checkpoint."""
    (tmp_path / 'photos').mkdir()
    for i in range(2):
        path = tmp_path / 'photos' / f'{i}.jpg'
        cv2.imwrite(str(path), make_image(seed=i))
    for i in range(10):
        with tarfile.open(tmp_path / f'shards-{i:06d}.tar', 'w') as tar:
            tar.add(path, '0001.jpg')
    write_video(tmp_path / 'clip.mp4')
    checkpoint = write_checkpoint('cls')
    monkeypatch.chdir(tmp_path)
    return checkpoint


@pytest.mark.parametrize('command', COMMANDS)
def test_command(command, desk, run_script):
    words = shlex.split(command)
    if words[0] == 'bash':  # tested below, with two processes
        return
    if words[:2] != ['sr4ir', 'infer']:
        assert 'demo.txt' in command or 'demo_app.py' in command
        return  # tests/test_apis/test_demo_app.py
    words = [desk if word == 'CHECKPOINT' else word for word in words[2:]]
    code, text = run_script('infer', *words)
    assert code == 0, text
    if 'photos' in words:  # what was predicted is on the screen
        assert re.search(r'^0.jpg: \w+ \([\d.]+\)$', text, re.M), text
    if 'shards' in command:
        assert Path('outputs/sr/shards-000009_0001.png').is_file()
        assert 'shards-000009.tar/0001.jpg: ' in text
    assert list(Path('outputs').rglob('*.*'))


def test_processes_share_a_folder(desk):
    (command,) = [line for line in COMMANDS if line.startswith('bash')]
    _, script, folder, _, number, *options = shlex.split(command)
    assert number == '8'
    result = subprocess.run(
        ['bash', ROOT / script, folder, desk, '2', *options],
        env=dict(os.environ, PYTHON=sys.executable),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    lines = Path('outputs/results.jsonl').read_text().splitlines()
    names = [json.loads(line)['name'] for line in lines]
    assert names == ['photos/0.jpg', 'photos/1.jpg']
    # the second may have seen the first one's row
    assert result.stdout.count('1 predicted') == 2
    assert len(list(Path('outputs/sr').iterdir())) == 2
    assert not list(Path('outputs').glob('*-of-2.jsonl'))


def start_processes(folder, commands):
    """Three, each of which runs these commands of a shell in its stead."""
    python = folder / 'python'
    python.write_text(f'#!/bin/sh\n{commands}\n')
    python.chmod(0o755)
    script = ROOT / 'tools/dist_infer.sh'
    return subprocess.Popen(
        ['bash', script, 'photos', 'a.pth', '3'],
        env=dict(os.environ, PYTHON=python),
        cwd=folder,
    )


def test_no_process_ends_another(tmp_path):
    """One that has skipped an image has an exit code, and the others their
    work."""
    script = start_processes(
        tmp_path,
        'test $RANK = 0 && exit 1; sleep .5; touch $RANK-of-$WORLD_SIZE',
    )
    assert script.wait(20) == 1
    names = sorted(path.name for path in tmp_path.glob('*-of-*'))
    assert names == ['1-of-3', '2-of-3']


def test_all_processes_end_with_the_script(tmp_path):
    script = start_processes(tmp_path, 'touch $RANK; exec sleep 60')
    while not all((tmp_path / rank).exists() for rank in '012'):
        assert script.poll() is None
        time.sleep(0.05)
    script.terminate()
    assert script.wait(20) == 128 + 15


def test_code(desk, capsys):
    exec(CODE, dict(CHECKPOINT=desk))
    assert capsys.readouterr().out.count('112') == 4


def test_every_block_is_tested():
    assert {language for language, _ in BLOCKS} == {'shell', 'python'}
    assert len(COMMANDS) == 9 and CODE.count('SRInferencer(') == 1
