import os

import cv2
import numpy as np
import pytest
from fake_data import write_image, write_raster
from PIL import Image

from sr4ir_mm.apis.sources import Video, find_inputs, read_image
from sr4ir_mm.utils.images import read_header


@pytest.fixture
def folder(tmp_path):
    for name in ('b.jpg', 'a.PNG', 'deeper/c.jpg'):
        write_image(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('no image')
    return tmp_path


def names(files):
    return [str(file).rsplit('/', 1)[-1] for file in files]


def test_folders_patterns_and_lists(folder):
    assert names(find_inputs(folder)) == ['a.PNG', 'b.jpg']
    assert names(find_inputs(f'{folder}/*.jpg')) == ['b.jpg']
    assert names(find_inputs(f'{folder}/**/*.jpg')) == ['b.jpg', 'c.jpg']
    assert names(find_inputs(str(folder / 'b.jpg'))) == ['b.jpg']
    assert len(find_inputs([folder / 'b.jpg', 'x.jpg'])) == 2
    assert find_inputs('https://example.org/a.jpg') == [
        'https://example.org/a.jpg'
    ]
    assert len(find_inputs(np.zeros((2, 2, 3), np.uint8))) == 1


def test_what_is_not_there(folder):
    (folder / 'empty').mkdir()
    with pytest.raises(ValueError, match="empty' has no images in it"):
        find_inputs(folder / 'empty')
    with pytest.raises(FileNotFoundError, match='no file, folder or pattern'):
        find_inputs(folder / '*.bmp')
    with pytest.raises(ValueError, match='the list is empty'):
        find_inputs([])
    with pytest.raises(ValueError, match='None is nothing to predict from'):
        find_inputs(None)
    with pytest.raises(ValueError, match='There is no webcam 77'):
        find_inputs(77)


def test_video(tmp_path, write_video, make_image):
    video = find_inputs(write_video(tmp_path / 'clip.mp4'))
    assert isinstance(video, Video)
    assert (video.fps, video.num_frames, video.stem) == (10, 3, 'clip')
    for i, frame in enumerate(video):
        assert np.abs(frame - make_image(seed=i).astype(int)).mean() < 10
    assert i == 2


def test_some_frames_of_a_video(tmp_path, write_video, make_image, folder):
    path = write_video(tmp_path / 'clip.mp4', num=7)
    video = find_inputs(path, every=3)
    assert (video.fps, video.num_frames) == (10 / 3, 3)
    for frame, seed in zip(video, (0, 3, 6)):
        assert np.abs(frame - make_image(seed=seed).astype(int)).mean() < 10
    with pytest.raises(ValueError, match='every=3 .*for videos'):
        find_inputs(folder, every=3)
    with pytest.raises(ValueError, match='every=0'):
        find_inputs(path, every=0)


def test_video_without_frames(tmp_path, write_video):
    (tmp_path / 'broken.mp4').write_bytes(b'nothing')
    with pytest.raises(ValueError, match='no video that OpenCV can read'):
        find_inputs(tmp_path / 'broken.mp4')
    path = write_video(tmp_path / 'empty.avi', num=1)
    video = Video(str(path))
    video._capture.read()
    with pytest.raises(ValueError, match=r'empty.avi has no frames'):
        list(video)


def test_kinds_of_images(tmp_path):
    """All become BGR with 8 bits."""
    ramp = np.linspace(0, 255, 12 * 8).reshape(8, 12).astype(np.uint8)
    path = str(tmp_path / 'image.png')

    Image.fromarray(ramp).save(path)
    grey = read_image(path)
    assert grey.shape == (8, 12, 3) and (grey == ramp[..., None]).all()
    np.testing.assert_array_equal(read_image(ramp), grey)

    color = np.stack([ramp, ramp // 2, ramp // 4], axis=2)
    alpha = np.dstack([color, np.full_like(ramp, 7)])
    Image.fromarray(alpha).save(path)
    np.testing.assert_array_equal(read_image(path), color[..., ::-1])
    np.testing.assert_array_equal(
        read_image(alpha[..., [2, 1, 0, 3]]), color[..., ::-1]
    )

    deep = color[..., ::-1].astype(np.uint16) * 257
    cv2.imwrite(path, deep)
    np.testing.assert_array_equal(read_image(path), color[..., ::-1])
    np.testing.assert_array_equal(read_image(deep), color[..., ::-1])

    Image.fromarray(color).convert('P').save(path)
    assert read_image(path).shape == (8, 12, 3)


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    image = Image.fromarray(np.zeros((8, 12, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    image.save(tmp_path / 'turned.jpg', exif=exif)
    assert read_image(tmp_path / 'turned.jpg').shape == (12, 8, 3)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_an_image_that_was_cut_short(tmp_path, suffix):
    path = tmp_path / f'image{suffix}'
    write_image(path, size=(64, 64))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match='cannot be read'):
        read_image(path)


@pytest.mark.parametrize('bits', [8, 16])
def test_jpeg_2000(tmp_path, bits):
    """OpenCV's is a photograph; of GDAL's, bands are no colours."""
    path = str(tmp_path / 'image.jp2')
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    image = image.astype(f'uint{bits}')
    lossless = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    cv2.imwrite(path, image, lossless)
    header = read_header(path)
    assert (header.bits, header.bands, header.beside) == (bits, 3, '')
    if bits == 8:
        assert np.abs(read_image(path).astype(int) - image).max() < 3
    else:
        with pytest.raises(ValueError, match='only the lower 12 are used'):
            read_image(path)
        cv2.imwrite(path, image << 8, lossless)
        assert np.abs(read_image(path).astype(int) - image).max() < 3
    pytest.importorskip('rasterio')
    options = dict(driver='JP2OpenJPEG', quality=100, reversible='yes')
    write_raster(path, image, **options)
    with pytest.raises(ValueError, match='first would be read, as grey'):
        read_image(path)
    write_raster(path, image[..., :1], **options)
    if bits == 8:
        np.testing.assert_array_equal(read_image(path)[..., 0], image[..., 0])
        Image.fromarray(image[..., :2], 'LA').save(path)
        assert read_header(path).beside == ''  # the second is alpha
        return
    with pytest.raises(ValueError, match='only the lower 12 are used'):
        read_image(path)
    for used, dark in ((12, False), (14, True), (15, True)):
        write_raster(path, image[..., :1] << 2, nbits=used, **options)
        assert read_header(path).bits == used
        if dark:
            with pytest.raises(ValueError, match=f'the lower {used - 4} are'):
                read_image(path)
        else:
            read = read_image(path)[..., 0]
            np.testing.assert_array_equal(read, image[..., 0] >> 2)
    with open(path, 'r+b') as file:
        file.truncate(80)
    with pytest.raises(ValueError, match='damaged|cannot be read'):
        read_image(path)


def test_what_is_no_image(tmp_path):
    for content in (b'', b'no image at all'):
        (tmp_path / 'image.jpg').write_bytes(content)
        with pytest.raises(ValueError, match='is no image'):
            read_image(tmp_path / 'image.jpg')
    with pytest.raises(ValueError, match='array of float64: uint8'):
        read_image(np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r'shape \(2, 2, 5\)'):
        read_image(np.zeros((2, 2, 5), np.uint8))


@pytest.mark.parametrize('name', ['pipe.png', 'pipe.mp4', 'pipe'])
def test_what_is_no_file_is_not_waited_for(tmp_path, name):
    """A named pipe, or a device."""
    pipe = tmp_path / name
    os.mkfifo(pipe)
    for path in (pipe, '/dev/zero'):
        for read in (find_inputs, read_image):
            with pytest.raises(ValueError, match='is no regular file'):
                read(str(path))
    with pytest.raises(ValueError, match='has no images in it'):
        find_inputs(tmp_path)
