"""What runs beside the networks."""

import json
import os
import tarfile
import threading
import time

import cv2
import numpy as np
import pytest
from fake_data import write_image

from sr4ir_mm.apis import result_index, stream
from sr4ir_mm.apis.inferencer import Inferencer
from sr4ir_mm.apis.pipeline import in_threads


def named(items):
    return ((str(item), item) for item in items)


def test_order_is_kept_whatever_takes_longer():
    def slow_first(name, item):
        time.sleep(0.05 if item == 0 else 0)
        return item * 2

    found = [*in_threads(slow_first, named(range(20)), threads=4, ahead=6)]
    assert found == [(str(i), i * 2) for i in range(20)]


@pytest.mark.parametrize('ahead', [0, 3])
def test_no_more_is_taken_than_said(ahead):
    taken = []
    others = threading.enumerate()

    def items():
        for item in range(10):
            taken.append(item)
            yield str(item), item

    found = in_threads(lambda name, item: item, items(), 2, ahead)
    next(found)
    assert len(taken) == ahead + 1
    found.close()
    assert len(taken) == ahead + 1
    assert set(threading.enumerate()) <= set(others)


def test_calls_run_side_by_side():
    meet = threading.Barrier(3, timeout=20)
    found = in_threads(lambda *_: meet.wait(), named(range(3)), 3, ahead=3)
    assert sorted(result for _, result in found) == [0, 1, 2]


def test_errors_arrive():
    def fail(name, item):
        raise OSError(f'disk full at {name}')

    with pytest.raises(OSError, match='disk full at 0'):
        [*in_threads(fail, named(range(9)), 2, ahead=4)]


class Brightness(Inferencer):
    """Predicts how bright an image is, as a class."""

    def __init__(self, weights='a.pth'):
        super().__init__(weights, show_progress=False)
        self.seen = []

    def _pack(self, pixels, name, hr):
        self.seen.append(name)
        return dict(inputs=pixels)

    def _predict(self, items):
        return [item['inputs'] for item in items]

    def _finish(self, found, coordinates, score_thr):
        label = int(found.mean())
        prediction = dict(pred_label=label, pred_score=1.0)
        return dict(
            prediction=prediction, lr=found, sr=found, visualization=found
        )


@pytest.fixture
def folder(tmp_path):
    """Nine images, of which one is none, and two are called alike."""
    for i in range(7):
        write_image(tmp_path / f'in/{i}.png')
    write_image(tmp_path / 'in/deep/0.png')
    (tmp_path / 'in/7.png').write_text('no image')
    return tmp_path


def predict(
    folder, out, by=None, stop_after=None, inputs='in/**/*.png', **kwargs
):
    by = by or Brightness()
    results = by.stream(
        str(folder / inputs), out_dir=str(folder / out), **kwargs
    )
    for number, _ in enumerate(results, start=1):
        if number == stop_after:
            results.close()
    return by


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*.*')
    }


def test_speed_is_that_of_the_whole_call(folder, monkeypatch):
    columns = []
    render = stream._Speed.render
    monkeypatch.setattr(
        stream._Speed,
        'render',
        lambda *args: columns.append(render(*args)) or columns[-1],
    )

    class Slow(Brightness):
        def _predict(self, items):
            time.sleep(0.05)
            return super()._predict(items)

    slow = Slow()
    slow.show_progress = True
    predict(folder, 'out', slow)
    assert 1 < float(columns[-1][:-2]) < 9 / (8 * 0.05)


def test_index(folder):
    predict(folder, 'out')
    lines = (folder / 'out/results.jsonl').read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row['name'][len(str(folder)) + 4 :] for row in rows] == [
        *(f'{i}.png' for i in range(8)),
        'deep/0.png',
    ]
    assert rows[7]['skipped'] == 'is no image' and 'files' not in rows[7]
    assert rows[8]['files'] == dict(
        vis='vis/0_2.png', sr='sr/0_2.png', pred='pred/0_2.json'
    )
    assert rows[8]['prediction']['pred_score'] == 1
    assert (folder / 'out/sr/0_2.png').is_file()


def test_an_interrupted_folder_goes_on(folder):
    predict(folder, 'undisturbed')
    predict(folder, 'out', stop_after=3)
    index = folder / 'out/results.jsonl'
    before = len(index.read_text().splitlines())
    assert 3 <= before < 9
    with index.open('a') as file:
        file.write('{"name": "cut sh')
    (folder / 'out/sr/.part-7-5.png').write_text('half')  # as a kill leaves it
    second = predict(folder, 'out', resume=True)
    assert len(second.seen) == 8 - before  # the broken one is never packed
    assert files_of(folder / 'out') == files_of(folder / 'undisturbed')
    third = predict(folder, 'out', resume=True)
    assert not third.seen and third.before == 9
    name = str(folder / 'in/7.png')  # of the call before, or the one before it
    assert third.skipped == {name: 'is no image'}
    assert files_of(folder / 'out') == files_of(folder / 'undisturbed')
    assert len(predict(folder, 'out').seen) == 8  # anew


@pytest.mark.parametrize(
    'name,content,where',
    [
        ('results.jsonl', '{"name": "a.png"}\nrubbish\n', ', line 2,'),
        ('results.jsonl', '{"skipped": "a.png"}\n', ', line 1,'),
        ('results.jsonl', '[1]\n', ', line 1,'),
        ('results.json', '[1]', ''),
        ('results.json', '{', ''),
    ],
)
def test_a_damaged_index_is_named(folder, name, content, where):
    predict(folder, 'out', stop_after=3)
    (folder / 'out' / name).write_text(content)
    with pytest.raises(ValueError, match=f'{name}{where} is not as it was'):
        predict(folder, 'out', resume=True)


def test_names_that_are_no_text(folder, caplog):
    """As in archives of other systems."""
    name = os.fsdecode(b'r\xfcck.png')
    (folder / 'in/6.png').rename(folder / 'in' / name)
    predict(folder, 'undisturbed')
    assert (folder / 'undisturbed/sr' / name).is_file()
    predict(folder, 'out', stop_after=8)
    assert len(predict(folder, 'out', resume=True).seen) < 8
    rows = (folder / 'out/results.jsonl').read_text()
    assert rows == (folder / 'undisturbed/results.jsonl').read_text()
    (folder / 'in' / name).write_text('no image')
    predict(folder, 'skipped')
    assert rb'r\udcfcck.png: is no image' in caplog.text.encode()


def test_processes_share_a_folder(folder):
    predict(folder, 'undisturbed')
    predict(folder, 'out', share=(1, 2), resume=True)
    assert (folder / 'out/results.1-of-2.jsonl').is_file()
    predict(folder, 'out', share=(0, 2), resume=True)
    assert files_of(folder / 'out') == files_of(folder / 'undisturbed')
    with pytest.raises(ValueError, match='say --resume'):
        predict(folder, 'other', share=(0, 2))


def test_what_is_skipped_has_a_name_for_its_files(folder):
    """Else those of others would depend on which process comes first."""
    (folder / 'in/0.png').write_text('no image')
    predict(folder, 'undisturbed')
    for rank in range(3):
        predict(folder, 'out', share=(rank, 3), resume=True)
    assert files_of(folder / 'out') == files_of(folder / 'undisturbed')


def test_a_process_that_comes_when_another_has_done_it_all(
    folder, monkeypatch
):
    """What it was about to read has become one file with the rest."""
    predict(folder, 'undisturbed')
    predict(folder, 'out', share=(0, 2), resume=True)
    read = result_index._read

    def read_late(path):
        monkeypatch.setattr(result_index, '_read', read)
        predict(folder, 'out', share=(1, 2), resume=True)
        return read(path)

    monkeypatch.setattr(result_index, '_read', read_late)
    late = predict(folder, 'out', share=(0, 2), resume=True)
    assert not late.seen
    assert files_of(folder / 'out') == files_of(folder / 'undisturbed')


def test_another_number_of_processes_goes_on(folder):
    predict(folder, 'undisturbed')
    predict(folder, 'out', stop_after=1, share=(1, 2), resume=True)
    predict(folder, 'out', resume=True)
    assert files_of(folder / 'out') == files_of(folder / 'undisturbed')


def test_shards_go_on_as_folders_do(folder):
    """Rows and files are those of one undisturbed run."""
    for shard, pattern in (('a', '[0-3].png'), ('b', '[4-9].png')):
        with tarfile.open(folder / f's-{shard}.tar', 'w') as tar:
            for path in sorted((folder / 'in').rglob(pattern)):
                tar.add(path, path.relative_to(folder / 'in'))
            end = tar.offset
    with open(folder / 's-b.tar', 'rb+') as file:
        file.truncate(end)  # as if more should follow
    kwargs = dict(inputs='s-{a,b}.tar', resume=True)

    by = predict(folder, 'undisturbed', **kwargs)
    lines = (folder / 'undisturbed/results.jsonl').read_text().splitlines()
    rows = {row['name']: row for row in map(json.loads, lines)}
    assert [name[len(str(folder)) + 1 :] for name in rows] == [
        *(f's-a.tar/{i}.png' for i in (0, 1, 2, 3)),
        *('s-a.tar/deep/0.png', 's-b.tar/4.png', 's-b.tar/5.png'),
        *('s-b.tar/6.png', 's-b.tar/7.png', 's-b.tar'),
    ]
    assert len(lines) == 10 and set(by.skipped) == {*list(rows)[-2:]}
    assert rows[f'{folder}/s-a.tar/deep/0.png']['files'] == dict(
        vis='vis/s-a_deep_0.png',
        sr='sr/s-a_deep_0.png',
        pred='pred/s-a_deep_0.json',
    )

    for rank, stop_after in ((1, 2), (0, 1), (0, 2), (1, None)):
        predict(
            folder,
            'out',
            stop_after=stop_after,
            share=(rank, 2),
            **kwargs,
        )
    predict(folder, 'out', **kwargs)
    assert files_of(folder / 'out') == files_of(folder / 'undisturbed')
    plain = predict(folder, 'plain')  # of the same images
    assert len(plain.skipped) == 1
    for name in ('0', '3', '6'):
        shard = 'a' if name < '4' else 'b'
        assert (folder / f'out/sr/s-{shard}_{name}.png').read_bytes() == (
            folder / f'plain/sr/{name}.png'
        ).read_bytes()


def test_results_of_another_model_are_not_gone_on_with(folder):
    predict(folder, 'out', stop_after=3)
    with pytest.raises(
        ValueError, match=r"weights='a.pth'.*another --out-dir"
    ):
        predict(folder, 'out', Brightness('b.pth'), resume=True)
    for name, other in (
        ('hr', True),
        ('no_save_sr', True),
        ('pred_score_thr', 0.5),
    ):
        with pytest.raises(ValueError, match=f'{name}=.*--resume .* {other}'):
            predict(folder, 'out', resume=True, **{name: other})


@pytest.mark.parametrize(
    'sizes, batches',
    [
        ('abcdabcdabcdabcd', [4, 4, 4, 4]),
        ('aaaaaabb', [4, 2, 2]),
        ('abbbbbbbbbbbbbbb', [1, 4, 4, 4, 3]),
        ('a' + 'b' * 40, [1] + [4] * 10),
    ],
)
def test_a_batch_has_images_of_one_size(tmp_path, sizes, batches):
    """From near and far, in no other order; and not too many wait."""
    for number, size in enumerate(sizes):
        size = 8 + ord(size), 8
        write_image(tmp_path / f'in/{number:02d}.png', number, size)

    class Batches(Brightness):
        def __init__(self):
            super().__init__()
            self.batches = []

        def _predict(self, items):
            self.batches.append(len(items))
            assert len({item['inputs'].shape for item in items}) == 1
            return super()._predict(items)

    by = Batches()
    results = by.stream(str(tmp_path / 'in'), batch_size=4)
    names = [os.path.basename(result['name']) for result in results]
    assert names == sorted(os.listdir(tmp_path / 'in'))
    assert by.batches == batches


def test_arrays_have_no_names_to_go_on_by(tmp_path):
    images = [np.zeros((8, 8, 3), np.uint8)] * 2
    out = str(tmp_path / 'out')
    assert len([*Brightness().stream(images, out_dir=out)]) == 2
    with pytest.raises(ValueError, match='resume=True: nothing tells'):
        [*Brightness().stream(images, out_dir=out, resume=True)]


@pytest.mark.parametrize('out', ['in/0.png', 'in/0.png/out'])
def test_results_cannot_be_in_a_file(folder, out):
    with pytest.raises(ValueError, match=r'--out-dir\) cannot be a folder'):
        predict(folder, out)


def test_no_batch_is_empty(folder):
    """It would take all images of one size."""
    with pytest.raises(ValueError, match=r'batch_size=0 \(--batch-size\)'):
        predict(folder, 'out', batch_size=0)


def test_names_that_were_given_stay(folder):
    """A new image that comes first takes nobody's files."""
    predict(folder, 'out')
    white = np.full((8, 8, 3), 255, np.uint8)
    (folder / 'in/a').mkdir()
    cv2.imwrite(str(folder / 'in/a/deep.png'), white)
    (folder / 'in/00').mkdir()
    cv2.imwrite(str(folder / 'in/00/0.png'), white)
    before = files_of(folder / 'out/sr')
    predict(folder, 'out', resume=True)
    after = files_of(folder / 'out/sr')
    assert before.items() <= after.items()
    assert set(after) - set(before) == {'0_3.png', 'deep.png'}


def test_one_that_is_left_may_be_broken(folder):
    """It is not all that there is."""
    predict(folder, 'out')
    (folder / 'in/8.png').write_text('no image')
    assert len(predict(folder, 'out', resume=True).skipped) == 2


def test_a_full_disk_ends_it(folder, monkeypatch):
    from sr4ir_mm.apis import writer

    def full(*args):
        raise OSError('No space left on device')

    monkeypatch.setattr(writer, 'write_image', full)
    with pytest.raises(OSError, match='No space'):
        predict(folder, 'out')
    assert not (folder / 'out/results.jsonl').read_text()


@pytest.mark.parametrize(
    'visible, there, local, gpu, warns',
    [
        (None, 2, 1, '1', False),
        (None, 2, 2, '0', True),  # it would have found none, and said nothing
        (None, 0, 3, '3', False),
        ('4,5', 8, 1, '5', False),
        ('4,5', 8, 3, '5', True),
        ('', 2, 1, '', False),
        ('-1', 2, 1, '-1', False),
    ],
)
def test_each_process_has_a_gpu(
    visible,
    there,
    local,
    gpu,
    warns,
    monkeypatch,
    tmp_path,
    caplog,
    load_script,
):
    script = tmp_path / 'nvidia-smi'
    lines = [f'GPU {i}: H100 (UUID: GPU-{i})' for i in range(there)]
    script.write_text('#!/bin/sh\ncat <<end\n' + '\n'.join(lines) + '\nend\n')
    script.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    for name, value in dict(
        RANK=local, WORLD_SIZE=4, LOCAL_RANK=local
    ).items():
        monkeypatch.setenv(name, str(value))
    # so that it is put back
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', str(visible))
    if visible is None:
        del os.environ['CUDA_VISIBLE_DEVICES']
    assert load_script('infer').join('pytorch') == (local, 4)
    assert os.environ['CUDA_VISIBLE_DEVICES'] == gpu
    assert ('shares GPU' in caplog.text) is warns
