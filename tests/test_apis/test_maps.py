"""From a scene and a checkpoint to maps."""

import json
import os
from types import SimpleNamespace
from weakref import WeakSet

import numpy as np
import pytest
from fake_data import write_raster
from pycocotools.mask import encode
from tiny import SEGMENTOR, plain

from sr4ir_mm.apis import SRInferencer, maps, scenes
from sr4ir_mm.apis.in_words import InWords
from sr4ir_mm.apis.inferencer import Inferencer
from sr4ir_mm.apis.objects import Objects
from sr4ir_mm.apis.scenes import Part, Scene
from sr4ir_mm.utils.bands import read_bands

rasterio = pytest.importorskip('rasterio')
from rasterio.features import geometry_mask  # noqa: E402
from rasterio.warp import transform as warp  # noqa: E402
from rasterio.warp import transform_geom  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)
UTM = dict(
    crs='EPSG:32633', transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
)
TURNED = dict(
    crs='EPSG:4326',
    transform=rasterio.Affine(9e-5, 3e-5, 13, 3e-5, -9e-5, 52),
)
SHORT_SIGHTED = dict(
    SEGMENTOR,
    backbone=dict(
        SEGMENTOR['backbone'],
        num_stages=1,
        strides=(1,),
        dilations=(1,),
        out_indices=(0,),
    ),
    decode_head=dict(SEGMENTOR['decode_head'], in_channels=4),
)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(maps, 'KEPT', 32)
    monkeypatch.setattr(maps, 'BLOCK', 64)


class Trivial(Inferencer):
    """Repeats pixels; the label of one is its first band modulo five."""

    dataset_meta = dict(
        classes=list('abcde'), palette=[[i, 9, 9] for i in range(5)]
    )
    view, toolbox, scale = 'sr', 'mmseg', 2
    bands = read_bands(dict(number=4, rgb=(2, 1, 0), range=250))

    def __init__(self, **kwargs):
        super().__init__('a.pth', show_progress=False)
        vars(self).update(kwargs)

    def _pack(self, pixels, name, hr):
        return dict(inputs=pixels, name=name)

    def _predict(self, items):
        return [item['inputs'] for item in items]

    def _sr_image(self, found):
        large = found.repeat(2, 0).repeat(2, 1).transpose(2, 0, 1)
        return large / np.float32(max(self.bands.high))

    def _to_plain(self, found, coordinates):
        return (found[..., 0] % 5).astype(np.uint8).repeat(2, 0).repeat(2, 1)


def predict(by, path, out, **kwargs):
    (result,) = by.stream(str(path), out_dir=str(out), **kwargs)
    return result


def make(height=75, width=110, bands=4, high=4000):
    y, x = np.mgrid[:height, :width]
    values = [y * 7 + x * (i + 1) + 1 for i in range(bands)]
    return (np.stack(values, axis=2) % high).astype(np.uint16)


@pytest.mark.parametrize('place', [UTM, TURNED], ids=['utm', 'turned'])
def test_maps_lie_on_the_scene(tmp_path, small_parts, place):
    values = make()
    by = Trivial(bands=read_bands(dict(number=4, range=4095)))
    values[20:50, :70, 1] = values[20:40, 10:60] = 0
    path = write_raster(tmp_path / 'a.tif', values, nodata=0, **place)
    with rasterio.open(path, 'r+') as file:
        file.descriptions = ('blue', 'green', 'red', 'nir')
        file.scales = [1e-4] * 4
    result = predict(by, path, tmp_path / 'out')
    words = InWords(tuple('abcde'), 0)
    words.add(result)
    assert '255' not in words.lines()[0]
    large = values.repeat(2, 0).repeat(2, 1)
    with rasterio.open(path) as lr:
        for kind in ('sr', 'pred'):
            with rasterio.open(tmp_path / f'out/{kind}/a.tif') as file:
                assert file.crs == lr.crs and file.profile['tiled']
                assert file.compression.name == 'deflate'
                for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    at = np.multiply(corner, (lr.width, lr.height))
                    np.testing.assert_allclose(
                        file.xy(*at * 2, offset='ul'),
                        lr.xy(*at, offset='ul'),
                        rtol=1e-12,
                    )
                found = file.read().transpose(1, 2, 0)
                if kind == 'sr':
                    assert file.descriptions == ('blue', 'green', 'red', 'nir')
                    assert file.nodata == 0 and file.scales == (1e-4,) * 4
                    np.testing.assert_array_equal(found, large)
                else:
                    labels = np.where(
                        large.any(axis=2), large[..., 0] % 5, 255
                    )
                    np.testing.assert_array_equal(found[..., 0], labels)
                    assert file.nodata == 255 and file.colormap(1)[3][0] == 3
                    assert json.loads(file.tags()['classes']) == list('abcde')
    (row,) = map(json.loads, open(tmp_path / 'out/results.jsonl'))
    assert row == dict(
        name=path,
        files=dict(sr='sr/a.tif', pred='pred/a.tif', vis='vis/a.png'),
    )
    assert all(
        (tmp_path / 'out' / one).is_file() for one in row['files'].values()
    )


@pytest.mark.parametrize('size', [(40, 52), (75, 30), (75, 110)])
def test_parts_of_one_size(tmp_path, size):
    """Of a file that takes no other."""
    values, seen = make(), set()
    by = Trivial(bands=read_bands(dict(number=4, range=4095)), size=size)
    pack = by._pack
    by._pack = lambda pixels, *rest: (
        seen.add(pixels.shape[:2]) or pack(pixels, *rest)
    )
    path = write_raster(tmp_path / 'a.tif', values, **UTM)
    predict(by, path, tmp_path / 'out')
    assert seen == {size}
    with rasterio.open(tmp_path / 'out/sr/a.tif') as file:
        found = file.read().transpose(1, 2, 0)
    np.testing.assert_array_equal(found, values.repeat(2, 0).repeat(2, 1))
    by.size = (76, 30)
    with pytest.raises(ValueError, match=r'75 x 110 pixels.* 76 x 30 alone'):
        predict(by, path, tmp_path / 'out')


def test_no_data_of_each_band(tmp_path, small_parts):
    """What differs between bands is one value in a GeoTIFF."""
    values = make(40, 50, 3)
    values[:8, :9, 1], values[:4, :5, 2] = 7, 5
    write_raster(tmp_path / 'a.tif', values, **UTM)
    band = """<VRTRasterBand dataType="UInt16" band="{0}">{1}<SimpleSource>
<SourceFilename relativeToVRT="1">a.tif</SourceFilename>
<SourceBand>{0}</SourceBand></SimpleSource></VRTRasterBand>"""
    none = ('', *(f'<NoDataValue>{n}</NoDataValue>' for n in (7, 5)))
    path = tmp_path / 'each.vrt'
    path.write_text(
        '<VRTDataset rasterXSize="50" rasterYSize="40"><SRS>EPSG:32633</SRS>'
        '<GeoTransform>500000, 10, 0, 5000000, 0, -10</GeoTransform>'
        + ''.join(band.format(i + 1, one) for i, one in enumerate(none))
        + '</VRTDataset>'
    )
    by = Trivial(bands=read_bands(dict(number=3, range=4095)))
    predict(by, path, tmp_path / 'out')
    missing = values == (1 << 16, 7, 5)
    with rasterio.open(tmp_path / 'out/sr/each.tif') as file:
        found = file.read().transpose(1, 2, 0)
        assert file.nodata == 7
    large = missing.repeat(2, 0).repeat(2, 1)
    assert missing.sum() > 90
    np.testing.assert_array_equal(found == 7, large)


def test_arrays_as_files(tmp_path, caplog):
    """Of another byte order, with NaN, and of another range."""
    by = Trivial(bands=read_bands(dict(number=4, range=4095)))
    values = make()
    np.save(tmp_path / 'a.npy', values.astype('>u2'))
    by.reads_rasters = True
    predict(by, tmp_path / 'a.npy', tmp_path / 'out')
    with rasterio.open(tmp_path / 'out/sr/a.tif') as file:
        assert file.dtypes[0] == 'uint16'
        np.testing.assert_array_equal(
            file.read()[:, ::2, ::2].transpose(1, 2, 0), values
        )
    assert by.load(values.astype('>u2')).dtype.isnative
    holes = values.astype(np.float32)
    holes[3:5, 4:6] = np.nan
    np.testing.assert_array_equal(
        by.load(holes), np.where(np.isnan(holes), 0, holes)
    )
    assert not caplog.records
    for factor, words in ((1e-4, 'nearly black'), (16, 'values of')):
        by.load(values * np.float32(factor))
        assert words in caplog.records[-1].message
        path = write_raster(
            tmp_path / f'{words[:3]}.tif', values * np.float32(factor), **UTM
        )
        predict(by, path, tmp_path / 'out')
        message = caplog.records[-1].message
        assert words in message and message.startswith(path)
    assert len(caplog.records) == 4


def test_folders_of_rasters(tmp_path):
    for name in ('a.npy', 'b.npy'):
        np.save(tmp_path / name, make(20, 30))
    by = Trivial(bands=read_bands(dict(number=4, range=4095)))
    by._pictures = lambda found: (found, found)
    assert len(list(by.stream(str(tmp_path)))) == 2
    by.bands = None
    with pytest.raises(ValueError, match='has no images in it'):
        list(by.stream(str(tmp_path)))


def test_a_file_of_a_detector_of_bands(tmp_path, write_checkpoint, run_script):
    """Exported with a raster of its own, for scenes."""
    pytest.importorskip('onnxruntime')
    path = write_raster(tmp_path / 'a.tif', make(75, 110), **UTM)
    bands = dict(number=4, range=4095)
    checkpoint = write_checkpoint('det', task_model=plain('det'), bands=bands)
    out = tmp_path / 'model.onnx'
    code, text = run_script(
        *('deployment/export', checkpoint, out, '--image', path),
        *('--size', 32, 48, '--int8', path),
    )
    assert code == 0 and 'int8, from 1 image(s)' in text, text
    by = SRInferencer(weights=str(out), show_progress=False)
    result = predict(by, path, tmp_path / 'out')
    boxes = np.array(result['prediction']['bboxes'])
    assert boxes[:, 2].max() > 4 * 48  # beyond what the file takes
    features = json.load(open(tmp_path / 'out/pred/a.geojson'))['features']
    assert len(features) == len(boxes)
    with rasterio.open(tmp_path / 'out/sr/a.tif') as file:
        assert file.shape == (300, 440) and file.count == 4


@pytest.mark.parametrize('place', [UTM, TURNED], ids=['utm', 'turned'])
def test_regions_as_polygons(tmp_path, place):
    """Each, on earth, over pixels of its class."""
    path = write_raster(tmp_path / 'a.tif', make(12, 16), **place)
    predict(Trivial(), path, tmp_path / 'out', polygons=True)
    features = json.load(open(tmp_path / 'out/pred/a.geojson'))['features']
    with rasterio.open(tmp_path / 'out/pred/a.tif') as file:
        labels = file.read(1)
    assert len(features) > 20
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    burnt = rasterize(
        [
            (
                transform_geom('EPSG:4326', file.crs, one['geometry']),
                one['properties']['label'],
            )
            for one in features
        ],
        labels.shape,
        transform=file.transform,
        fill=99,
    )
    np.testing.assert_array_equal(burnt, labels)
    assert {one['properties']['class'] for one in features} == set('abcde')
    for one in features:
        outer, *holes = one['geometry']['coordinates']
        assert area(outer) > 0 and all(area(hole) < 0 for hole in holes)


def area(ring):
    x, y = np.transpose(ring)
    return (x[:-1] * y[1:] - x[1:] * y[:-1]).sum()


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'uint16', 'float32'])
@pytest.mark.parametrize('mask', [False, True])
def test_depth_and_masks_are_kept(tmp_path, small_parts, dtype, mask):
    values = (make(high=250) % 250).astype(dtype)
    path = write_raster(tmp_path / 'a.tif', values, **UTM)
    data = np.full((75, 110), True)
    if mask:
        data[40:, 20:90] = False
        with rasterio.open(path, 'r+') as file:
            file.colorinterp = [rasterio.enums.ColorInterp.undefined] * 4
            file.write_mask(data)
    predict(Trivial(), path, tmp_path / 'out')
    with rasterio.open(tmp_path / 'out/sr/a.tif') as file:
        assert file.dtypes == (dtype,) * 4
        found, seen = file.read(), file.dataset_mask() > 0
    data = data.repeat(2, 0).repeat(2, 1)
    large = values.repeat(2, 0).repeat(2, 1).transpose(2, 0, 1)
    np.testing.assert_allclose(found[:, data], large[:, data], rtol=1e-6)
    np.testing.assert_array_equal(seen, data)
    assert not list((tmp_path / 'out/sr').glob('*.msk'))


@pytest.mark.parametrize(
    'dtype,expected',
    [
        ('int16', [[-1000, 0], [0, 50], [3000, 0]]),
        ('float32', [[-1000, 0], [0, 50], [5000, -100]]),
    ],
)
def test_range_of_each_band(dtype, expected):
    bands = read_bands(dict(number=2, range=[(-1000, 3000), (0, 100)]))
    raster = SimpleNamespace(dtype=np.dtype(dtype))
    scene = SimpleNamespace(of_model=bands, raster=raster)
    image = np.array([[0, 0.25, 1.5], [0, 0.5, -1]], np.float32)[:, None]
    assert Scene.as_file(scene, image).tolist() == [expected]


@pytest.mark.parametrize('scene', ['rgb', 'rgba', 'grey'])
def test_parts_make_the_whole(tmp_path, small_parts, write_checkpoint, scene):
    """As predicted in one piece, by networks that look no farther than the
    margin."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (75, 110, 4), dtype=np.uint8)
    values[..., 3] = 255
    count = dict(rgb=3, rgba=4, grey=1)[scene]
    options = dict(photometric='RGB') if count > 1 else {}
    if scene == 'rgba':
        options.update(alpha='YES')
    path = write_raster(
        tmp_path / 'a.tif', values[..., :count], **UTM, **options
    )
    by = SRInferencer(
        weights=write_checkpoint('seg', task_model=SHORT_SIGHTED),
        show_progress=False,
    )
    predict(by, path, tmp_path / 'out', batch_size=2)
    bgr = (
        np.repeat(values[..., :1], 3, 2) if count == 1 else values[..., 2::-1]
    )
    whole = by(np.ascontiguousarray(bgr), coordinates='sr')
    with rasterio.open(tmp_path / 'out/sr/a.tif') as file:
        sr = file.read().transpose(1, 2, 0)
        assert [kind.name for kind in file.colorinterp] == [
            'red',
            'green',
            'blue',
        ]
    off = np.abs(sr.astype(int) - whole['sr'][0]) > 0
    assert off.mean() < 1e-4  # where rounding is even
    with rasterio.open(tmp_path / 'out/pred/a.tif') as file:
        assert (file.read(1) != whole['predictions'][0]).mean() < 1e-3


def test_boxes_on_the_map(tmp_path, small_parts, write_checkpoint):
    values = np.random.default_rng(0).integers(0, 256, (75, 110, 3), np.uint8)
    path = write_raster(tmp_path / 'a.tif', values, photometric='RGB', **UTM)
    by = SRInferencer(weights=write_checkpoint('det'), show_progress=False)
    result = predict(by, path, tmp_path / 'out')
    boxes = np.array(result['prediction']['bboxes'])
    assert len(boxes) > 5  # in one piece, at most five
    features = json.load(open(tmp_path / 'out/pred/a.geojson'))['features']
    assert len(features) == len(boxes)
    with rasterio.open(tmp_path / 'out/sr/a.tif') as file:
        corner, size = np.array(file.bounds)[[0, 3]], file.res[0]
    for box, score, one in zip(
        boxes, result['prediction']['scores'], features
    ):
        ring = np.array(one['geometry']['coordinates'][0])
        x, y = warp('EPSG:4326', UTM['crs'], *ring.T)
        pixels = (np.stack([x, y], 1) - corner) / size * (1, -1)
        np.testing.assert_allclose(pixels.min(0), box[:2], atol=1e-3)
        np.testing.assert_allclose(pixels.max(0), box[2:], atol=1e-3)
        assert one['properties']['score'] == score and area(ring) > 0


class Outlines(Trivial):
    """Finds one object of pixels of one value, with its mask."""

    toolbox = 'mmdet'

    def _to_plain(self, found, coordinates):
        mask = (found[..., 0] == 4000).repeat(2, 0).repeat(2, 1)
        y, x = np.nonzero(mask)
        prediction = dict(bboxes=[], scores=[], labels=[], masks=[])
        if len(y):
            encoded = encode(np.asfortranarray(mask.astype(np.uint8)))
            prediction = dict(
                bboxes=[[x.min(), y.min(), x.max() + 1, y.max() + 1]],
                scores=[len(y) / 1e4],
                labels=[1],
                masks=[encoded],
            )
        return dict(prediction, label_names=['car'] * len(prediction['masks']))


@pytest.mark.parametrize('place', [UTM, TURNED], ids=['utm', 'turned'])
def test_masks_as_polygons(tmp_path, small_parts, place):
    """Of an object that four windows see, one; its hole is none of it."""
    values = make()
    truth = np.zeros(values.shape[:2], bool)
    truth[27:37, 28:38] = True
    truth[31:33, 31:34] = False
    values[truth, 0] = 4000
    path = write_raster(tmp_path / 'a.tif', values, **place)
    by = Outlines(bands=read_bands(dict(number=4, range=4095)))
    predict(by, path, tmp_path / 'out', polygons=True)
    (feature,) = json.load(open(tmp_path / 'out/pred/a.geojson'))['features']
    assert feature['properties'] == {
        'class': 'car',
        'label': 1,
        'score': 0.0376,
    }
    with rasterio.open(path) as file:
        outline = transform_geom('EPSG:4326', file.crs, feature['geometry'])
        found = geometry_mask(
            [outline], truth.shape, file.transform, invert=True
        )
    np.testing.assert_array_equal(found, truth)


def test_a_detector_sees_what_no_window_has(tmp_path, small_parts):
    """Each object once, wherever windows begin, and whatever a window says of
    one that it sees in part."""
    rng = np.random.default_rng(0)
    corners = np.stack([rng.integers(2, 100, 60), rng.integers(2, 60, 60)], 1)
    objects = [[x, y, x + 6, y + 8] for x, y in corners.tolist()]
    parts = Scene.parts(
        SimpleNamespace(
            raster=SimpleNamespace(height=75, width=110, path='a.tif')
        ),
        (32, 32),
        16,
    )
    found = Objects(scale=2, slack=8)
    for part in parts:
        corner = np.array([part.seen.left, part.seen.top] * 2)
        size = np.array([part.seen.width, part.seen.height] * 2)
        boxes = np.clip(objects - corner, 0, size) * 2.0
        there = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes += rng.uniform(-0.5, 0.5, boxes.shape)
        found.add(
            part,
            dict(
                bboxes=boxes[there],
                scores=rng.uniform(0, 1, there.sum()),
                labels=np.flatnonzero(there),
            ),
        )
    merged = found.merged()
    assert sorted(merged['labels']) == list(range(60))
    order = np.argsort(merged['labels'])
    np.testing.assert_allclose(
        np.array(merged['bboxes'])[order] / 2, objects, atol=0.3
    )


def test_parts_do_not_live_on(tmp_path, small_parts, monkeypatch):
    """A scene takes the memory of a few."""
    alive, counts = WeakSet(), []

    class Counted(Part):
        def __init__(self, *args):
            super().__init__(*args)
            alive.add(self)
            counts.append(len(alive))

    monkeypatch.setattr(scenes, 'Part', Counted)
    path = write_raster(tmp_path / 'a.tif', make(256, 320), **UTM)
    predict(Trivial(), path, tmp_path / 'out')
    assert len(counts) == 80 and max(counts) < 16


@pytest.mark.parametrize('kind', ['network', 'file'])
def test_a_scene_that_fails_midway_names_the_window(
    tmp_path, small_parts, kind
):
    class Fails(Trivial):
        def _predict(self, items):
            if 'rows 32 to 64, columns 64 to 96' in items[0]['name']:
                raise RuntimeError('no more')
            return super()._predict(items)

    by = Fails() if kind == 'network' else Trivial()
    path = write_raster(
        tmp_path / 'in/a.tif' if False else tmp_path / 'a.tif', make(), **UTM
    )
    if kind == 'file':
        os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(ValueError, match='None of 1'):
        predict(by, path, tmp_path / 'out')
    (row,) = map(json.loads, open(tmp_path / 'out/results.jsonl'))
    if kind == 'network':
        assert row['skipped'].startswith('rows 32 to 64, columns 64 to 96 of')
        assert row['skipped'].endswith('no more')
    else:
        assert 'cannot be read in rows' in row['skipped']
    left = [p.name for p in (tmp_path / 'out').rglob('*') if p.is_file()]
    assert sorted(left) == ['results.json', 'results.jsonl']


def test_what_a_model_does_not_take(tmp_path):
    rgb = Trivial(bands=None)
    cases = [
        (
            Trivial(),
            make(bands=7),
            None,
            '7 bands, of which .* --bands 1 2 3 4',
        ),
        (Trivial(), make(bands=4), [1, 2, 3, 9], 'asks for number 9'),
        (rgb, make(bands=3), None, 'values of uint16, and the model takes 8'),
        (
            Trivial(bands=read_bands(dict(number=4, range=65535))),
            make().astype('uint8'),
            None,
            'uint8, and .*up to 65535',
        ),
    ]
    for i, (by, values, bands, match) in enumerate(cases):
        path = write_raster(tmp_path / f'{i}.tif', values, **UTM)
        with pytest.raises(ValueError, match=match):
            predict(by, path, tmp_path / 'out', bands=bands)
    by = Trivial(bands=read_bands(dict(number=4, range=4095)))
    path = write_raster(tmp_path / 'b.tif', make(bands=7), **UTM)
    predict(by, path, tmp_path / 'out', bands=[7, 1, 2, 3])
    with rasterio.open(tmp_path / 'out/sr/b.tif') as file:
        np.testing.assert_array_equal(
            file.read(1)[::2, ::2], make(bands=7)[..., 6]
        )


def test_scenes_and_photographs_in_a_folder(
    tmp_path, write_checkpoint, make_image
):
    import cv2

    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in/b.png'), make_image())
    plain = make_image()
    write_raster(tmp_path / 'in/c.tif', plain, photometric='RGB')
    write_raster(tmp_path / 'in/a.tif', plain, photometric='RGB', **UTM)
    by = SRInferencer(weights=write_checkpoint('cls'), show_progress=False)
    list(by.stream(str(tmp_path / 'in'), out_dir=str(tmp_path / 'out')))
    rows = [json.loads(x) for x in open(tmp_path / 'out/results.jsonl')]
    files = [row['files'] for row in rows]
    assert [one['sr'] for one in files] == ['sr/a.tif', 'sr/b.png', 'sr/c.png']
    assert [one['pred'] for one in files] == [f'pred/{x}.json' for x in 'abc']
    saved = json.load(open(tmp_path / 'out/pred/a.json'))
    assert saved['pred_scores'] == rows[0]['prediction']['pred_scores']
    np.testing.assert_allclose(
        saved['pred_scores'], rows[2]['prediction']['pred_scores'], atol=1e-5
    )
