import numpy as np
import pytest
import torch

from sr4ir_mm.datasets import CQMix, EvaluateAtInputSize, VOCBoxesAsCOCO


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
    torch.manual_seed(0)
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
