import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from PIL import Image
from tiny import build_model, make_batch

from sr4ir_mm.datasets import (
    CQMix,
    DegradeInPipeline,
    EvaluateAtInputSize,
    LoadLRImageFromFile,
    PairedRandomCrop,
    VOCBoxesAsCOCO,
)
from sr4ir_mm.models.views import Views
from sr4ir_mm.registry import TRANSFORMS


@pytest.fixture
def images():
    return torch.zeros(3, 3, 24, 40), torch.ones(3, 3, 24, 40)


def test_given_mask_is_reproduced_cell_by_cell(images):
    sr, hr = images
    mask = torch.rand(3, 1, 2, 2) < 0.5
    mixed = CQMix(grid=2)(sr, hr, mask)
    for i in range(3):
        for row in range(2):
            for col in range(2):
                cell = mixed[
                    i, :, 12 * row : 12 * row + 12, 20 * col : 20 * col + 20
                ]
                # SR is black, HR is white
                assert (cell == float(not mask[i, 0, row, col])).all()


def test_sides_that_the_grid_does_not_divide():
    sr, hr = torch.zeros(1, 3, 30, 37), torch.ones(1, 3, 30, 37)
    mixed = CQMix(grid=8)(sr, hr)
    assert mixed.shape == sr.shape
    assert set(mixed.unique().tolist()) <= {0.0, 1.0}


def test_each_image_has_its_own_random_mask():
    masks = CQMix().draw_mask(torch.zeros(200, 3, 8, 8))
    assert masks.shape == (200, 1, 8, 8)
    assert len({m.numpy().tobytes() for m in masks}) == 200
    assert 0.48 < masks.float().mean() < 0.52


@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_probability_of_an_sr_patch(images, prob):
    sr, hr = images
    assert torch.equal(CQMix(sr_prob=prob)(sr, hr), sr if prob else hr)


def test_evaluation_at_input_size():
    results = dict(
        ori_shape=(50, 60), img_shape=(25, 30), gt_seg_map=np.zeros((25, 30))
    )
    assert EvaluateAtInputSize()(results)['ori_shape'] == (25, 30)


def test_inference_keeps_the_size_of_the_file():
    results = dict(ori_shape=(50, 60), img_shape=(25, 30))
    assert EvaluateAtInputSize()(results)['ori_shape'] == (50, 60)


def test_voc_boxes_as_the_authors_read_them():
    """In the file (1, 1, 10, 20), as mmdet reads it one less."""
    instance = dict(bbox=[0, 0, 9, 19], bbox_label=3, ignore_flag=1)
    results = VOCBoxesAsCOCO()(dict(instances=[instance]))
    assert results['instances'] == [
        dict(bbox=[0, 0, 10, 20], bbox_label=3, ignore_flag=0)
    ]
    assert VOCBoxesAsCOCO()(dict(img_id=0)) == dict(img_id=0)


# --------------------------------------------------------------- paired LR


def block_mean(image):
    """What stands for LR in these tests: means of 4x4 HR pixels."""
    h, w = (side // 4 for side in image.shape[:2])
    means = image.reshape(h, 4, w, 4, 3).astype(float).mean((1, 3))
    return means.round().astype(np.uint8)


@pytest.fixture
def pair(tmp_path):
    """Paths of an HR file and its annotation; LR lies beside HR."""
    image = np.random.RandomState(0).randint(0, 256, (48, 64, 3), np.uint8)
    mask = image[..., 0].copy()
    for folder, array in dict(HR=image, LR=block_mean(image)).items():
        (tmp_path / folder).mkdir()
        Image.fromarray(array).save(tmp_path / folder / 'a.png')
    Image.fromarray(mask).save(tmp_path / 'mask.png')
    return str(tmp_path / 'HR' / 'a.png'), str(tmp_path / 'mask.png')


LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
LOAD_LR = dict(type='sr4ir_mm.LoadLRImageFromFile', replace={'/HR/': '/LR/'})
CROP = dict(type='sr4ir_mm.PairedRandomCrop', crop_size=(16, 24), scale=4)
PACK = dict(type='sr4ir_mm.PackLR', pack=dict(type='PackSegInputs'))


def run_pipeline(pair, transforms):
    init_default_scope('mmseg')
    results = dict(img_path=pair[0], seg_map_path=pair[1], seg_fields=[])
    results['reduce_zero_label'] = False
    results['label_map'] = None
    return Compose([*LOAD, *transforms])(results)


def assert_aligned(packed):
    """LR is the mean of its HR pixels, the mask is the R channel."""
    bgr = packed['inputs']
    sample = packed['data_samples']
    assert sample.lr.dtype == torch.uint8 and sample.lr.is_contiguous()
    expected = block_mean(bgr.permute(1, 2, 0).numpy())
    assert np.array_equal(sample.lr.permute(1, 2, 0).numpy(), expected)
    assert torch.equal(sample.gt_sem_seg.data[0], bgr[2].long())


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('prob', [0.0, 1.0])
def test_paired_files_stay_aligned(pair, direction, prob):
    flip = dict(type='RandomFlip', prob=prob, direction=direction)
    packed = run_pipeline(pair, [LOAD_LR, CROP, flip, PACK])
    assert packed['inputs'].shape == (3, 16, 24)
    assert packed['data_samples'].img_shape == (16, 24)
    assert_aligned(packed)


def test_pair_that_is_loaded_after_the_flip(pair):
    """Its file has not been flipped."""
    flip = dict(type='RandomFlip', prob=1.0)
    assert_aligned(run_pipeline(pair, [flip, LOAD_LR, PACK]))


def test_paired_crops_reach_all_of_the_image():
    at = np.stack(np.mgrid[:48, :64], axis=-1)  # each pixel is its place
    crop = PairedRandomCrop(crop_size=(16, 24), scale=4)
    starts = set()
    for _ in range(1000):
        results = crop(dict(img=at, lr=at[::4, ::4]))
        assert np.array_equal(results['lr'], results['img'][::4, ::4])
        starts.add(tuple(results['img'][0, 0].tolist()))
    assert starts == {(y, x) for y in range(0, 33, 4) for x in range(0, 41, 4)}


def test_paired_crop_of_a_smaller_image(pair):
    crop = dict(CROP, crop_size=(64, 32))
    packed = run_pipeline(pair, [LOAD_LR, crop, PACK])
    assert packed['inputs'].shape == (3, 48, 32)
    assert_aligned(packed)


def test_paired_crop_refuses_what_it_would_tear_apart():
    with pytest.raises(ValueError, match=r'crop_size=\(30, 32\).* scale=4'):
        PairedRandomCrop(crop_size=(30, 32), scale=4)
    with pytest.raises(ValueError, match='does not crop boxes'):
        PairedRandomCrop((4, 4), 4)(dict(gt_bboxes=[]))
    with pytest.raises(ValueError, match='goes before RandomFlip'):
        PairedRandomCrop((4, 4), 4)(dict(flip_direction='horizontal'))


def test_flip_of_an_image_that_is_no_multiple_of_lr(pair):
    flip = dict(type='RandomFlip', prob=1.0)
    crop = dict(type='RandomCrop', crop_size=(48, 62))
    with pytest.raises(ValueError, match='PairedRandomCrop before RandomFlip'):
        run_pipeline(pair, [crop, LOAD_LR, flip, PACK])


def test_no_lr_file(pair):
    load = LoadLRImageFromFile(replace={'a.png': 'b.png'})
    with pytest.raises(FileNotFoundError, match=r'No LR image .*b\.png for '):
        load(dict(img_path=pair[0]))
    load = LoadLRImageFromFile(replace={'/GT/': '/LR/'})
    with pytest.raises(ValueError, match=r"replace: no '/GT/' in .*a\.png"):
        load(dict(img_path=pair[0]))


@TRANSFORMS.register_module()
class BlockMean:
    """A degradation that does all of its work itself."""

    def __call__(self, results):
        assert results['lr'].dtype == np.float32
        results['lr'] = block_mean(results['lr'])
        return results


def test_degrading_after_the_flip_flips_no_second_time(pair):
    flip = dict(type='RandomFlip', prob=1.0)
    degrade = dict(
        type='sr4ir_mm.DegradeInPipeline',
        scale=4,
        transforms=[dict(type='sr4ir_mm.BlockMean')],
    )
    assert_aligned(run_pipeline(pair, [flip, degrade, PACK]))


def test_degrading_ends_at_the_size_of_lr():
    image = np.full((30, 37, 3), 77, np.uint8)
    degrade = DegradeInPipeline(transforms=[], scale=4)
    results = degrade(dict(img=image))
    assert results['img'] is image
    assert results['lr'].shape == (8, 10, 3)
    assert results['lr'].dtype == np.uint8 and (results['lr'] == 77).all()


def test_blind_degradation_of_mmagic():
    blur = dict(
        kernel_size=[7],
        kernel_list=['iso'],
        kernel_prob=[1],
        sigma_x=[0.2, 3],
        sigma_y=[0.2, 3],
        rotate_angle=[-3.1416, 3.1416],
    )
    resize = dict(
        resize_mode_prob=[0, 1, 0],
        resize_scale=[0.15, 1.5],
        resize_opt=['bilinear', 'area', 'bicubic'],
        resize_prob=[1 / 3] * 3,
    )
    noise = dict(
        noise_type=['gaussian', 'poisson'],
        noise_prob=[0.5, 0.5],
        gaussian_sigma=[1, 30],
        gaussian_gray_noise_prob=0.4,
        poisson_scale=[0.05, 3],
        poisson_gray_noise_prob=0.4,
    )
    steps = dict(
        RandomBlur=blur,
        RandomResize=resize,
        RandomNoise=noise,
        RandomJPEGCompression=dict(quality=[30, 95]),
    )
    degrade = DegradeInPipeline(
        [
            dict(type=f'mmagic.{name}', params=params, keys=['lr'])
            for name, params in steps.items()
        ],
        scale=4,
    )
    row = np.linspace(0, 255, 62).astype(np.uint8)
    image = np.broadcast_to(row[None, :, None], (50, 62, 3))
    for _ in range(4):
        lr = degrade(dict(img=image))['lr']
        assert lr.shape == (13, 16, 3) and lr.dtype == np.uint8
        assert lr[:, 12:].mean() > lr[:, :4].mean() + 100


@pytest.mark.parametrize('training', [True, False])
def test_model_takes_the_lr_of_the_data_samples(pair, training):
    model = build_model().train(training)
    packed = run_pipeline(pair, [LOAD_LR, PACK])
    batch = pseudo_collate([packed, packed])
    views = Views(model, **model.data_preprocessor(batch, training))
    expected = packed['data_samples'].lr.flip(0) / 255
    assert torch.equal(views['lr'], torch.stack([expected, expected]))
    assert views['sr'].shape == views['hr'].shape == (2, 3, 48, 64)


def test_paired_images_of_different_sizes_are_continued(pair):
    model = build_model()
    small = run_pipeline(pair, [LOAD_LR, CROP, PACK])
    batch = pseudo_collate([small, run_pipeline(pair, [LOAD_LR, PACK])])
    batch['inputs'][0] = batch['inputs'][0][:, :15, :22]
    batch['data_samples'][0].set_metainfo(dict(img_shape=(15, 22)))
    batch['data_samples'][0].gt_sem_seg = PixelData(data=torch.zeros(15, 22))
    lr = model.make_views(batch)['lr']
    assert lr.shape == (2, 3, 12, 16)
    expected = small['data_samples'].lr.flip(0) / 255
    assert torch.equal(lr[0, :, :4, :6], expected)
    assert torch.equal(lr[0, :, 4:, :6], expected[:, -1:].expand(3, 8, 6))


def test_lr_of_another_scale_names_file_and_scale(pair):
    model = build_model(scale=8)
    batch = pseudo_collate([run_pipeline(pair, [LOAD_LR, PACK])])
    with pytest.raises(ValueError, match=r'HR/a\.png .*model\.scale=8'):
        model.make_views(batch)['lr']


@pytest.mark.parametrize('factor', [1, 2, 8])
def test_pairs_of_another_scale(factor):
    hr = np.zeros((64, 64, 3), np.uint8)
    pair = dict(img=hr, lr=hr[: 64 // factor, : 64 // factor])
    pair.update(img_path='a.png', lr_path='b.png')
    crop = PairedRandomCrop(crop_size=(32, 32), scale=4)
    size = 64 // factor
    with pytest.raises(
        ValueError, match=rf'\(a.png\) is 64x64 .*\(b.png\) {size}x{size} pix'
    ):
        crop(pair)


@pytest.mark.parametrize('round_up', [0, 1])
def test_pairs_that_were_rounded(round_up):
    """HR of 67x65; a crop of more than there is makes them whole."""
    hr = np.arange(67 * 65 * 3).reshape(67, 65, 3).astype(np.uint8)
    lr = hr[::4, ::4][: 16 + round_up, : 16 + round_up]
    crop = PairedRandomCrop(crop_size=(400, 400), scale=4)
    whole = crop(dict(img=hr, lr=lr))
    assert whole['img'].shape == (64, 64, 3)
    assert whole['lr'].shape == (16, 16, 3)
    assert np.array_equal(whole['img'][::4, ::4], whole['lr'])


@pytest.mark.parametrize('lr_size', [(16, 16), (17, 17), (16, 17), (17, 16)])
def test_a_batch_of_pairs_that_were_rounded(lr_size):
    """Without a crop, as in tests and with boxes: HR of 67x65."""
    batch = make_batch(sizes=[(67, 65), (68, 68)])
    given = [torch.randint(256, (3, *s)).byte() for s in (lr_size, (17, 17))]
    for sample, lr in zip(batch['data_samples'], given):
        sample.set_data(dict(lr=lr))
    model = build_model().eval()
    views = Views(model, **model.data_preprocessor(batch, True))
    height, width = lr_size
    rgb = given[0].flip(0) / 255
    assert torch.equal(views['lr'][0, :, :height, :width], rgb)
    assert views['lr'].shape[-2:] == (17, 17)
    edge = views['lr'][0, :, height - 1 :, : width - 1]
    assert torch.equal(edge, edge[:, :1].expand_as(edge))
    assert views['sr'].shape == views['hr'].shape
    for wrong in (15, 18):
        lr = torch.zeros(3, 16, wrong).byte()
        batch['data_samples'][0].set_data(dict(lr=lr))
        with pytest.raises(ValueError, match=r'0\.jpg has .*HR \(67, 65\)'):
            Views(model, **model.data_preprocessor(batch, True))['lr']
