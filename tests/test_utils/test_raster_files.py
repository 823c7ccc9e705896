"""What comes out of files of every kind is what is in them."""

import numpy as np
import pytest
from fake_data import write_raster

from sr4ir_mm.utils.images import DataError
from sr4ir_mm.utils.rasters import Window, open_raster

rasterio = pytest.importorskip('rasterio')
pytestmark = pytest.mark.filterwarnings(
    'ignore::rasterio.errors.NotGeoreferencedWarning'
)


def make(dtype, count=4, size=(40, 50)):
    values = np.random.RandomState(0).rand(*size, count) * 4000
    return (values - 2000 if dtype == 'int16' else values).astype(dtype)


@pytest.fixture
def write(tmp_path):
    def _write(name, values, **options):
        return write_raster(tmp_path / name, values, **options)

    return _write


def read(path, *args, **kwargs):
    with open_raster(path) as raster:
        return raster.read(*args, **kwargs)


KINDS = [
    *[
        (
            'a.tif',
            dtype,
            count,
            dict(tiled=tiled, blockxsize=16, blockysize=16),
        )
        for dtype in ('uint8', 'uint16', 'int16', 'float32', 'float64')
        for count, tiled in ((1, False), (3, True), (12, True))
    ],
    ('a.tif', 'uint16', 4, dict(interleave='band', compress='deflate')),
    ('a.png', 'uint16', 1, dict(driver='PNG')),
    ('a.png', 'uint16', 3, dict(driver='PNG')),
    ('a.png', 'uint8', 3, dict(driver='PNG')),
    (
        'a.jp2',
        'uint16',
        4,
        dict(driver='JP2OpenJPEG', QUALITY=100, REVERSIBLE='YES'),
    ),
]


@pytest.mark.parametrize('name,dtype,count,options', KINDS)
def test_values_are_those_of_the_file(write, name, dtype, count, options):
    values = make(dtype, count)
    path = write(name, values, **options)
    found, missing = read(path)
    assert found.dtype == values.dtype and missing is None
    np.testing.assert_array_equal(found, values)
    part, _ = read(path, [count, 1], Window(3, 20, 16, 9))
    np.testing.assert_array_equal(
        part, values[3:19, 20:29][..., [count - 1, 0]]
    )


def test_a_value_of_no_data(write):
    values = make('uint16')
    values[5, 6, 1] = values[7] = 65535
    found, missing = read(write('a.tif', values, nodata=65535), fill=9)
    assert found[5, 6, 1] == 9 and (found[7] == 9).all()
    np.testing.assert_array_equal(missing, values == 65535)


def test_floats_are_finite(write):
    """GDAL calls NaN data where another value is that of no data."""
    values = make('float32')
    values[0, 0, 0], values[0, 1, 1], values[0, 2, 2] = np.nan, np.inf, -1e9
    found, missing = read(write('a.tif', values, nodata=-1e9))
    assert np.isfinite(found).all()
    assert np.argwhere(missing).tolist() == [[0, 0, 0], [0, 1, 1], [0, 2, 2]]
    assert not found[missing].any()


@pytest.mark.parametrize('by', ['mask', 'alpha'])
def test_masks(write, by):
    values, mask = make('uint8', 3), np.full((40, 50), 255, np.uint8)
    mask[:7] = 0
    if by == 'mask':
        path = write('a.tif', values, mask=mask, photometric='RGB')
    else:
        values = np.concatenate([values, mask[..., None]], axis=2)
        path = write('a.tif', values, photometric='RGB', alpha='YES')
    found, missing = read(path, [1, 2, 3])
    np.testing.assert_array_equal(
        missing, ~mask[..., None].astype(bool) | [False] * 3
    )
    np.testing.assert_array_equal(found[7:], values[7:, :, :3])


def test_infrared_that_is_tagged_as_alpha_is_data(write):
    """As GDAL itself tags the last of four bands of 8 bits."""
    values = make('uint8')
    values[:7, :, 3] = 0
    found, missing = read(
        write('a.tif', values, photometric='RGB', alpha='YES')
    )
    assert missing is None
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize('shape', [(40, 50), (40, 50, 7), (9, 9, 200)])
def test_arrays(tmp_path, shape):
    values = np.arange(np.prod(shape)).reshape(shape).astype('>u2')
    np.save(tmp_path / 'a.npy', values)
    found, _ = read(tmp_path / 'a.npy', None, Window(2, 3, 4, 5))
    assert found.dtype == np.uint16 and found.dtype.isnative
    expected = values.reshape(*shape[:2], -1)[2:6, 3:8]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    'values,match',
    [
        (np.zeros((4, 40, 50)), r'\(4, 40, 50\), whose bands .*moveaxis'),
        (np.zeros((40, 50), complex), 'values of complex128'),
        (np.zeros(3), r'an array of shape \(3,\)'),
        (np.array([{}]), r'a.npy is damaged, or no image .*[Oo]bject'),
    ],
)
def test_arrays_that_are_no_images(tmp_path, values, match):
    np.save(tmp_path / 'a.npy', values)
    with pytest.raises(DataError, match=match):
        read(tmp_path / 'a.npy')


def test_dicom_is_what_its_rescaling_says(tmp_path):
    """Air is -1000, whatever the intercept."""
    pydicom = pytest.importorskip('pydicom')
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.2'
    file.file_meta.MediaStorageSOPInstanceUID = '1.2.3'
    file.Rows, file.Columns, file.SamplesPerPixel = 4, 6, 1
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelRepresentation = 0
    file.PhotometricInterpretation = 'MONOCHROME2'
    stored = np.arange(24, dtype=np.uint16).reshape(4, 6)
    file.PixelData = stored.tobytes()
    file.preamble = bytes(128)
    if pydicom.__version__ < '3':  # later ones know it of its syntax
        file.is_little_endian, file.is_implicit_VR = True, False
    path = tmp_path / 'IM0001'  # often without a suffix
    pydicom.dcmwrite(path, file)
    assert read(path)[0].dtype == np.uint16
    file.RescaleSlope, file.RescaleIntercept = 2, -1000
    pydicom.dcmwrite(path, file)
    np.testing.assert_array_equal(read(path)[0][..., 0], stored * 2.0 - 1000)
    file.PixelPaddingValue = 3  # no data, whatever it would stand for
    pydicom.dcmwrite(path, file)
    values, missing = read(path, fill=-1000)
    np.testing.assert_array_equal(missing[..., 0], stored == 3)
    assert values[0, 3, 0] == -1000 and values[0, 4, 0] == -992


def test_bands_of_several_types(write, tmp_path):
    """A virtual raster of bytes and floats: the types hold all values."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (6, 7, 1)).astype(np.uint8)
    second = rng.random((6, 7, 1)).astype(np.float32)
    second[0, 0] = np.nan
    write('a.tif', first), write('b.tif', second)
    band = """<VRTRasterBand dataType="{}" band="{}"><SimpleSource>
<SourceFilename relativeToVRT="1">{}</SourceFilename>
<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"""
    (tmp_path / 'both.vrt').write_text(
        '<VRTDataset rasterXSize="7" rasterYSize="6">'
        + band.format('Byte', 1, 'a.tif')
        + band.format('Float32', 2, 'b.tif')
        + '</VRTDataset>'
    )
    values, missing = read(tmp_path / 'both.vrt', fill=5)
    assert values.dtype == np.float32
    assert missing.sum() == 1 and values[0, 0, 1] == 5
    np.testing.assert_array_equal(values[..., 0], first[..., 0])


@pytest.mark.parametrize('kind', ['gcps', 'rpcs', None])
def test_what_does_not_make_a_grid(write, kind):
    from rasterio.control import GroundControlPoint
    from rasterio.rpc import RPC

    path = write('a.tif', make('uint16', 3))
    ones = [1.0] + [0.0] * 19
    names = ('height', 'lat', 'line', 'long', 'samp')
    ends = {f'{n}_{end}': 1 for n in names for end in ('off', 'scale')}
    parts = ('line_num', 'line_den', 'samp_num', 'samp_den')
    with rasterio.open(path, 'r+') as file:
        if kind == 'gcps':
            points = [GroundControlPoint(i, 2 * i, i, i) for i in range(4)]
            file.gcps = points, 'EPSG:4326'
        elif kind == 'rpcs':
            file.rpcs = RPC(**ends, **{f'{n}_coeff': ones for n in parts})
    with open_raster(path) as raster:
        assert raster.has_points is (kind is not None)


def test_errors_name_the_file(write, tmp_path):
    path = write('a.tif', make('uint16', 3))
    with pytest.raises(DataError, match='a.tif has 3 .* asks for number 4'):
        read(path, [1, 4])
    with pytest.raises(DataError, match='asks for number 0; the first is 1'):
        read(path, [0, 1])
    content = (tmp_path / 'a.tif').read_bytes()
    (tmp_path / 'cut.tif').write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match='cut.tif cannot be read in rows 0 to'):
        read(tmp_path / 'cut.tif')
    (tmp_path / 'text.tif').write_text('no image')
    with pytest.raises(DataError, match='text.tif is damaged, or no image'):
        read(tmp_path / 'text.tif')
    with pytest.raises(FileNotFoundError, match='no file .*none.tif'):
        read(tmp_path / 'none.tif')


def test_several_images_in_a_file(tmp_path):
    tifffile = pytest.importorskip('tifffile')
    pages = make('uint16').transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / 'a.tif', pages, photometric='minisblack')
    with pytest.raises(DataError, match='4 images in it.*GTIFF_DIR:1:'):
        read(tmp_path / 'a.tif')
    found, _ = read(f'GTIFF_DIR:2:{tmp_path / "a.tif"}')
    np.testing.assert_array_equal(found[..., 0], pages[1])
