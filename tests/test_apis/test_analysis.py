"""Features, activation maps and spectra of LR, SR and HR images."""

import numpy as np
import pytest
import torch
from tiny import TASKS, build_model, make_batch

from sr4ir_mm.apis.analysis.activation_maps import (
    activation_map,
    box_scores,
    draw_activation_maps,
    last_map,
    main_class,
)
from sr4ir_mm.apis.analysis.comparison import iterate_views, make_views
from sr4ir_mm.apis.analysis.features import (
    borrow_task_model,
    collect_features,
    draw_feature_maps,
    embed,
)
from sr4ir_mm.apis.analysis.spectra import (
    collect_pairs,
    compare_spectra,
    draw_spectra,
)


def make_dataset(task, num=3, size=(32, 32)):
    """Images as a data set's pipeline packs them."""
    batch = make_batch(task, num, size)
    return [
        dict(inputs=image, data_samples=sample)
        for image, sample in zip(batch['inputs'], batch['data_samples'])
    ]


# ------------------------------------------------------------------- features


@pytest.mark.parametrize('task', TASKS)
def test_distance_of_features(task):
    """0 where the model looks at HR itself; PSNR is that of the view."""
    dataset = make_dataset(task)
    oracle = build_model(task, phases=(), view='hr').eval()
    pairs = collect_features(oracle, dataset, [0, 2])
    assert pairs.hr.shape == (2, pairs.hr.shape[1])
    assert pairs.distance == 0 and pairs.psnr == np.inf
    model = build_model(task, phases=()).eval()
    pairs = collect_features(model, dataset, [0, 2])
    expected = np.sqrt(((pairs.hr - pairs.sr) ** 2).sum(1)).mean()
    assert pairs.distance == pytest.approx(expected) and expected > 0
    (views,) = iterate_views(model, dataset, [2])
    (feature,) = model.features(views, 'sr', [-1])
    average = feature[0].mean((1, 2)).detach().numpy()
    np.testing.assert_allclose(pairs.sr[1], average, rtol=1e-5, atol=1e-6)


def test_borrowed_task_model():
    """HR looks the same to all that borrow, SR does not."""
    dataset = make_dataset('cls')
    teacher, *models = (
        build_model('cls', seed=s, phases=()).eval() for s in range(3)
    )
    for model in models:
        borrow_task_model(model, teacher)
    a, b = (collect_features(model, dataset, [0, 1]) for model in models)
    expected = collect_features(teacher, dataset, [0, 1])
    assert np.array_equal(a.hr, expected.hr) and np.array_equal(b.hr, a.hr)
    assert not np.array_equal(a.sr, b.sr)


def test_shared_layers_are_no_picture():
    model = build_model('cls', phases=()).eval()
    model.view = 'shared'
    with pytest.raises(ValueError, match='no features of HR'):
        collect_features(model, make_dataset('cls'), [0])


def test_tsne_keeps_clusters_apart():
    pytest.importorskip('sklearn')
    rng = np.random.default_rng(0)
    near, far = (rng.normal(m, 0.1, (20, 8)).astype('f') for m in (0, 10))
    first, second = embed([near, far])
    assert first.shape == second.shape == (20, 2)
    gap = np.linalg.norm(first.mean(0) - second.mean(0))
    assert gap > 2 * max(first.std(), second.std())
    pairs = collect_features(
        build_model('cls', phases=()).eval(), make_dataset('cls'), [0]
    )
    figure = draw_feature_maps(dict(a=(first, second)), dict(a=pairs))
    (ax,) = figure.axes
    assert len(ax.collections) == 2
    assert f'distance {pairs.distance:.3f}' in ax.texts[0].get_text()


# ------------------------------------------------------ class activation maps


@pytest.mark.parametrize('task', TASKS)
def test_activation_maps(task):
    pytest.importorskip('pytorch_grad_cam')
    options = dict(resize=(48, 40)) if task == 'det' else {}
    model = build_model(task, phases=(), **options).eval()
    model.dataset_meta = dict(classes=tuple('abcde'))
    (data,) = make_dataset(task, 1, size=(30, 26))
    views = make_views(model, data)
    category = main_class(model, views)
    maps = {
        view: activation_map(model, views, view, category)
        for view in ('bilinear', 'sr', 'hr')
    }
    for activation in maps.values():
        assert activation.image.shape == (3, 30, 26)
        assert activation.heat.shape == (30, 26)
        assert 0 <= activation.heat.min() <= activation.heat.max() <= 1
        assert 0 < activation.score < 1
    assert not np.array_equal(maps['sr'].heat, maps['hr'].heat)
    figure = draw_activation_maps(dict(SR4IR=maps), 'b')
    assert figure.axes[2].get_title() == f'HR: b {maps["hr"].score:.2f}'


def test_score_is_the_classifiers():
    pytest.importorskip('pytorch_grad_cam')
    model = build_model('cls', phases=()).eval()
    (data,) = make_dataset('cls', 1)
    views = make_views(model, data)
    activation = activation_map(model, views, 'sr', 2)
    (sample,) = model.predict(views, 'sr')
    expected = sample.pred_score[2].item()
    assert activation.score == pytest.approx(expected, abs=1e-5)


def test_layer_is_the_last_of_the_backbone():
    model = build_model('cls', phases=()).eval()
    inputs = torch.rand(1, 3, 16, 16)
    assert last_map(model.task_model, inputs) == 'backbone.layer2'
    pytest.importorskip('pytorch_grad_cam')
    (data,) = make_dataset('cls', 1)
    with pytest.raises(ValueError, match="no module 'backbone.layer9'"):
        activation_map(
            model, make_views(model, data), 'sr', 0, 'backbone.layer9'
        )


def test_detectors_of_another_kind():
    with pytest.raises(ValueError, match='Grad-CAM of Identity'):
        box_scores(torch.nn.Identity(), ([torch.zeros(1, 4, 2, 2)],))


@pytest.mark.parametrize('task', TASKS)
def test_main_class(task):
    model = build_model(task, phases=()).eval()
    model.dataset_meta = dict(classes=('background', *'abcd'))
    (data,) = make_dataset(task, 1)
    sample = data['data_samples']
    if task == 'cls':
        sample.set_gt_label(3)
    elif task == 'seg':
        sample.gt_sem_seg.data[:] = 0  # background does not count
        sample.gt_sem_seg.data[0, :2, :2] = 2
        sample.gt_sem_seg.data[0, 5, 5] = 1
        sample.gt_sem_seg.data[0, 6:] = 255
    else:
        sample.gt_instances.bboxes[:] = torch.tensor(
            [[0.0, 0, 9, 9], [0, 0, 20, 9]]
        )
        sample.gt_instances.labels[:] = torch.tensor([0, 1])
    expected = dict(cls=3, seg=2, det=1)[task]
    assert main_class(model, make_views(model, data)) == expected


# -------------------------------------------------------------------- spectra


def test_spectrum_beside_itself_and_beside_noise():
    torch.manual_seed(0)
    hr = [torch.rand(3, 64, 48), torch.rand(3, 40, 40)]
    same = compare_spectra([(x, x) for x in hr])
    assert same.frequency[[0, -1]].tolist() == [0.5 / 64, 0.5 - 0.5 / 64]
    np.testing.assert_allclose(same.power, 0, atol=1e-6)
    np.testing.assert_allclose(same.correlation, 1)
    other = compare_spectra([(torch.rand_like(x), x) for x in hr])
    assert abs(np.mean(other.power[4:])) < 1  # as strong
    assert abs(np.mean(other.correlation[4:])) < 0.1  # but made up


def test_a_wave_is_in_its_ring():
    x = torch.arange(64) / 8  # 1/8 cycles per pixel
    wave = (0.5 + 0.4 * torch.cos(2 * np.pi * x)).expand(3, 64, 64)
    noise = 0.01 * torch.rand(3, 64, 64)
    spectra = compare_spectra([(wave + noise, noise + 0.5)])
    assert abs(spectra.frequency[spectra.power.argmax()] - 1 / 8) < 1 / 64


def test_bicubic_lacks_high_frequencies():
    model = build_model('seg', phases=()).eval()
    pairs = collect_pairs(model, make_dataset('seg', 2, (64, 64)), [0, 1])
    curves = {name: compare_spectra(pair) for name, pair in pairs.items()}
    bicubic = curves['bicubic']
    assert bicubic.power[bicubic.frequency > 0.3].max() < -6
    power, correlation = draw_spectra(curves, scale=4).axes
    labels = [text.get_text() for text in power.get_legend().get_texts()]
    assert labels == ['bicubic', 'view'] and len(correlation.lines) == 4
