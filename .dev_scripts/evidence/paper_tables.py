"""The tables of the papers: their rows as configs, and their figures.

Kim, Oh and Lee, "Beyond Image Super-Resolution for Image Recognition with
Task-Driven Perceptual Loss" (CVPR 2024), tables 1-7, and its supplement,
tables S1, S2 and S4-S6. Not here is S3, which is about costs (see
tools/analysis_tools/efficiency.py). Of EDTR (ICCV 2025), what needs no
diffusion model. Schirrmacher et al., "SR2:
Super-resolution with structure-aware reconstruction" (ICIP 2020), table 1 and
figures 4, 6 and 10.

A column is a data set and a scale, and in tables of SR2 the variance of the
noise on the test images, RGB in [0, 1]. A row is a config: a path below
``configs/``, in which ``{setup}`` stands for task network and data and
``{scale}`` for ``x4`` or ``x8``, or a :class:`Row`. A figure is what the
table's ``metrics`` say, in their order, ``None`` where the paper has none.
"""

import os.path as osp
from typing import Dict, NamedTuple

inf = float('inf')

HERE = osp.dirname(osp.abspath(__file__))
CONFIGS = osp.join(osp.dirname(osp.dirname(HERE)), 'configs')

# The SR4IR configs of a data set; {} is the scale and the SR network.
DATASETS = {
    name: osp.join(CONFIGS, pattern)
    for name, pattern in {
        'voc-seg': 'sr4ir_deeplabv3_voc_{}.py',
        'voc-det': 'sr4ir_faster-rcnn_voc_{}.py',
        'cars': 'sr4ir_resnet18_cars_{}.py',
        'cub': 'sr4ir_resnet18_cub_{}.py',
        'toy': 'toy/sr4ir_unet_toy_{}.py',
        'voc-seg-mixture-a': 'sr4ir_deeplabv3_voc-mixture-a_{}.py',
        'voc-det-mixture-a': 'sr4ir_faster-rcnn_voc-mixture-a_{}.py',
        'cub-mixture-a': 'sr4ir_resnet18_cub-mixture-a_{}.py',
    }.items()
}


class Row(NamedTuple):
    """A row that needs the networks of other runs.

    Args:
        config (str): As above.
        weights (dict[str, str]): Config of the run from whose end weights
            come, by config key of their file. For a row that is only tested,
            by network.
        train (bool): Whether to train, or to test those weights as they are.
            Defaults to True.
        sr_benchmarks (bool): Whether to test the SR network alone, on SR
            benchmarks; the config's pre-trained one, if ``weights`` has none.
            Defaults to False.
    """

    config: str
    weights: Dict[str, str]
    train: bool = True
    sr_benchmarks: bool = False


SR4IR = 'sr4ir_{setup}_{scale}'
L2T = 'baselines/l2t_{setup}_{scale}'
H2T = 'baselines/h2t_{setup}'
SR = 'baselines/sr_{setup}_{scale}'
SR_VGG = 'ablations/sr-vgg_{setup}_{scale}'
S2T_2ND = 'baselines/s2t-2nd_{setup}_{scale}'


def on_frozen(run: str) -> Row:
    """T, trained on the images of another run's S."""
    return Row(S2T_2ND, {'model.sr_net.init_cfg.checkpoint': run})


def on_oracle(config: str) -> Row:
    """S, trained for the T of H -> T."""
    return Row(config, {'model.task_model.init_cfg.checkpoint': H2T})


def swapped(sr_net: str, task_model: str) -> Row:
    """S and T of different runs, tested together."""
    weights = dict(sr_net=sr_net, task_model=task_model)
    return Row(SR4IR, weights, train=False)


def on_sr_benchmarks(**weights: str) -> Row:
    """S alone, of a run or as it was pre-trained."""
    return Row(SR4IR, weights, train=False, sr_benchmarks=True)


def over_noise(dataset: str, figures: Dict[tuple, dict]) -> Dict[tuple, dict]:
    """Columns of SR2: each scale at each level of noise."""
    levels = (0, 1e-5, 3.2e-5, 1e-4, 3.2e-4, 1e-3)
    columns = [(dataset, s, n) for s in ('x2', 'x4') for n in levels]
    return {column: figures.get(column, {}) for column in columns}


TABLES = {
    'main': dict(
        source='Tables 1-3',
        metrics=('task', 'LPIPS', 'PSNR'),
        rows={
            'H -> T': H2T,
            'L -> T': L2T,
            'S, EDSR': SR,
            'S -> T, EDSR': 'baselines/s2t_{setup}_{scale}',
            'T -> S, EDSR': 'baselines/t2s_{setup}_{scale}',
            'S + T, EDSR': 'baselines/joint_{setup}_{scale}',
            'SR4IR, EDSR': SR4IR,
            'S, SwinIR': 'baselines/sr_{setup}_{scale}_swinir',
            'S -> T, SwinIR': 'baselines/s2t_{setup}_{scale}_swinir',
            'T -> S, SwinIR': 'baselines/t2s_{setup}_{scale}_swinir',
            'S + T, SwinIR': 'baselines/joint_{setup}_{scale}_swinir',
            'SR4IR, SwinIR': 'sr4ir_{setup}_{scale}_swinir',
        },
        paper={
            ('voc-seg', 'x4'): {
                'H -> T': (63.3, 0.000, inf),
                'L -> T': (58.6, 0.300, 26.16),
                'S -> T, EDSR': (60.2, 0.241, 28.94),
                'T -> S, EDSR': (56.6, 0.352, 26.83),
                'S + T, EDSR': (58.0, 0.318, 27.64),
                'SR4IR, EDSR': (60.7, 0.220, 28.21),
                'S -> T, SwinIR': (61.4, 0.221, 29.57),
                'T -> S, SwinIR': (53.2, 0.376, 26.04),
                'S + T, SwinIR': (57.5, 0.341, 27.55),
                'SR4IR, SwinIR': (62.2, 0.194, 28.83),
            },
            ('voc-seg', 'x8'): {
                'H -> T': (63.3, 0.000, inf),
                'L -> T': (49.3, 0.476, 22.54),
                'S -> T, EDSR': (52.3, 0.407, 24.41),
                'T -> S, EDSR': (49.2, 0.461, 23.14),
                'S + T, EDSR': (50.0, 0.480, 23.58),
                'SR4IR, EDSR': (55.0, 0.380, 23.91),
                'S -> T, SwinIR': (53.9, 0.387, 24.75),
                'T -> S, SwinIR': (48.7, 0.466, 23.06),
                'S + T, SwinIR': (50.0, 0.480, 23.63),
                'SR4IR, SwinIR': (56.5, 0.355, 24.23),
            },
            ('voc-det', 'x4'): {
                'H -> T': (36.7, 0.000, inf),
                'L -> T': (27.5, 0.411, 22.77),
                'S -> T, EDSR': (30.3, 0.336, 24.62),
                'T -> S, EDSR': (27.2, 0.317, 23.37),
                'S + T, EDSR': (28.3, 0.354, 23.71),
                'SR4IR, EDSR': (32.4, 0.275, 23.94),
                'S -> T, SwinIR': (31.5, 0.309, 25.13),
                'T -> S, SwinIR': (29.7, 0.284, 23.59),
                'S + T, SwinIR': (31.4, 0.331, 23.94),
                'SR4IR, SwinIR': (33.9, 0.239, 24.38),
            },
            ('voc-det', 'x8'): {
                'H -> T': (36.7, 0.000, inf),
                'L -> T': (18.9, 0.559, 20.29),
                'S -> T, EDSR': (21.9, 0.494, 21.62),
                'T -> S, EDSR': (15.5, 0.476, 20.48),
                'S + T, EDSR': (20.3, 0.506, 20.98),
                'SR4IR, EDSR': (25.5, 0.416, 20.86),
                'S -> T, SwinIR': (23.7, 0.474, 21.85),
                'T -> S, SwinIR': (18.9, 0.449, 20.59),
                'S + T, SwinIR': (21.9, 0.489, 21.11),
                'SR4IR, SwinIR': (27.8, 0.382, 21.07),
            },
            ('cars', 'x4'): {
                'H -> T': (86.4, 0.000, None),
                'L -> T': (78.7, 0.304, None),
                'S -> T, EDSR': (82.7, 0.176, None),
                'T -> S, EDSR': (80.1, 0.190, None),
                'S + T, EDSR': (80.8, 0.196, None),
                'SR4IR, EDSR': (83.3, 0.158, None),
                'S -> T, SwinIR': (84.0, 0.159, None),
                'T -> S, SwinIR': (82.0, 0.162, None),
                'S + T, SwinIR': (83.4, 0.179, None),
                'SR4IR, SwinIR': (85.1, 0.136, None),
            },
            ('cars', 'x8'): {
                'H -> T': (86.4, 0.000, None),
                'L -> T': (61.0, 0.478, None),
                'S -> T, EDSR': (68.3, 0.328, None),
                'T -> S, EDSR': (56.9, 0.448, None),
                'S + T, EDSR': (65.2, 0.378, None),
                'SR4IR, EDSR': (71.4, 0.326, None),
                'S -> T, SwinIR': (71.4, 0.308, None),
                'T -> S, SwinIR': (61.0, 0.397, None),
                'S + T, SwinIR': (66.6, 0.355, None),
                'SR4IR, SwinIR': (73.9, 0.292, None),
            },
            ('cub', 'x4'): {
                'H -> T': (78.3, 0.000, None),
                'L -> T': (70.8, 0.298, None),
                'S -> T, EDSR': (71.1, 0.216, None),
                'T -> S, EDSR': (70.5, 0.208, None),
                'S + T, EDSR': (70.8, 0.226, None),
                'SR4IR, EDSR': (72.8, 0.179, None),
                'S -> T, SwinIR': (72.8, 0.201, None),
                'T -> S, SwinIR': (72.1, 0.190, None),
                'S + T, SwinIR': (72.9, 0.212, None),
                'SR4IR, SwinIR': (74.7, 0.157, None),
            },
            ('cub', 'x8'): {
                'H -> T': (78.3, 0.000, None),
                'L -> T': (58.2, 0.465, None),
                'S -> T, EDSR': (59.8, 0.365, None),
                'T -> S, EDSR': (56.5, 0.401, None),
                'S + T, EDSR': (58.6, 0.380, None),
                'SR4IR, EDSR': (62.6, 0.326, None),
                'S -> T, SwinIR': (61.2, 0.349, None),
                'T -> S, SwinIR': (58.7, 0.377, None),
                'S + T, SwinIR': (61.2, 0.364, None),
                'SR4IR, SwinIR': (65.3, 0.301, None),
            },
        },
    ),
    'tdp': dict(
        source='Table 4',
        metrics=('task', 'LPIPS'),
        rows={
            'without TDP': 'ablations/without-tdp_{setup}_{scale}',
            'SR4IR': SR4IR,
        },
        paper={
            ('voc-seg', 'x8'): {
                'without TDP': (53.3, 0.407),
                'SR4IR': (55.0, 0.380),
            },
            ('cars', 'x8'): {
                'without TDP': (69.9, 0.327),
                'SR4IR': (71.4, 0.326),
            },
        },
    ),
    'balance': dict(
        source='not in the paper',
        metrics=('task', 'LPIPS', 'PSNR'),
        rows={
            'S, T of H -> T': swapped(SR, H2T),
            'T -> S, task loss': on_oracle(
                'baselines/t2s-2nd_{setup}_{scale}'
            ),
            'T -> S, TDP': on_oracle('ablations/t2s-tdp_{setup}_{scale}'),
            'T -> S, balanced TDP': on_oracle(
                'ablations/t2s-balanced-tdp_{setup}_{scale}'
            ),
            'without TDP': 'ablations/without-tdp_{setup}_{scale}',
            'balanced TDP': 'ablations/balanced-tdp_{setup}_{scale}',
            'SR4IR': SR4IR,
        },
        paper={('voc-seg', 'x8'): {}, ('cars', 'x8'): {}},
    ),
    'start': dict(
        source='what S starts from',
        metrics=('PSNR',),
        rows={'S': 'baselines/sr-start_{setup}_{scale}'},
        paper={},
    ),
    'one_batch': dict(
        source='not in the paper',
        metrics=('task', 'LPIPS', 'PSNR'),
        rows={
            'S -> T': 'baselines/s2t_{setup}_{scale}',
            'SR4IR': SR4IR,
            'L + H -> T': 'ablations/lh2t_{setup}_{scale}',
            'one batch': 'ablations/one-batch_{setup}_{scale}',
            'one batch, without TDP': (
                'ablations/one-batch-without-tdp_{setup}_{scale}'
            ),
            'one batch, balanced TDP': (
                'ablations/one-batch-balanced-tdp_{setup}_{scale}'
            ),
        },
        paper={('voc-seg', 'x8'): {}, ('cars', 'x8'): {}},
    ),
    'hlf': dict(
        source='EDTR, Mixture-A; both networks start from trained ones',
        metrics=('task', 'LPIPS', 'PSNR', 'TFD'),
        rows={
            'L -> T': 'hlf/l2t_{setup}_{scale}',
            'L -> T, FM': 'hlf/l2t-fm_{setup}_{scale}',
            'S -> T': 'hlf/s2t_{setup}_{scale}',
            'SR4IR': SR4IR,
            'one batch, balanced TDP': (
                'hlf/one-batch-balanced-tdp_{setup}_{scale}'
            ),
            'SR4IR of 2026': 'hlf/sr4ir-2026_{setup}_{scale}',
            'HLF': 'hlf/hlf_{setup}_{scale}',
            'HLF, without teacher': 'hlf/hlf-without-teacher_{setup}_{scale}',
            'HLF, without FM': 'hlf/hlf-without-fm_{setup}_{scale}',
            'HLF, without half': 'hlf/hlf-without-half_{setup}_{scale}',
            'HLF and pixels': 'hlf/hlf-and-pixel_{setup}_{scale}',
            'HLF and pixels, balanced': 'hlf/hlf-balanced_{setup}_{scale}',
        },
        paper={
            ('voc-seg-mixture-a', 'x8_swinir'): {
                'S -> T': (56.2, None, None, None),
                'SR4IR of 2026': (56.2, None, None, None),
            },
        },
    ),
    'views': dict(
        source='Table 5',
        metrics=('task',),
        rows={
            'SR': 'ablations/views-sr_{setup}_{scale}',
            'HR': 'ablations/views-hr_{setup}_{scale}',
            'SR + HR': 'ablations/views-sr-hr_{setup}_{scale}',
            'SR + HR + CQMix (SR4IR)': SR4IR,
        },
        paper={
            ('voc-seg', 'x8'): {
                'SR': (51.7,),
                'HR': (53.3,),
                'SR + HR': (54.7,),
                'SR + HR + CQMix (SR4IR)': (55.0,),
            },
            ('cars', 'x8'): {
                'SR': (66.7,),
                'HR': (59.3,),
                'SR + HR': (70.3,),
                'SR + HR + CQMix (SR4IR)': (71.4,),
            },
        },
    ),
    'perceptual': dict(
        source='Table 6',
        metrics=('task',),
        rows={
            '(A) ImageNet VGG': 'ablations/perceptual-vgg_{setup}_{scale}',
            '(B) fixed T': Row(
                'ablations/perceptual-fixed_{setup}_{scale}',
                {'model.phases.0.losses.1.checkpoint': H2T},
            ),
            '(C) joint': 'ablations/perceptual-joint_{setup}_{scale}',
            'alternate (SR4IR)': SR4IR,
        },
        paper={
            ('voc-seg', 'x8'): {
                '(A) ImageNet VGG': (53.6,),
                '(B) fixed T': (53.6,),
                '(C) joint': (3.5,),
                'alternate (SR4IR)': (55.0,),
            },
            ('cars', 'x8'): {
                '(A) ImageNet VGG': (69.4,),
                '(B) fixed T': (70.3,),
                '(C) joint': (3.7,),
                'alternate (SR4IR)': (71.4,),
            },
        },
    ),
    'rivals': dict(
        source='Table 7',
        metrics=('task',),
        rows={
            'TDSR': 'rivals/tdsr_{setup}_{scale}',
            'SOD-MTGAN': 'rivals/sod-mtgan_{setup}_{scale}',
            'SR4IR': SR4IR,
        },
        paper={
            ('voc-seg', 'x8'): {
                'TDSR': (49.8,),
                'SOD-MTGAN': (51.6,),
                'SR4IR': (55.0,),
            },
            ('cars', 'x8'): {
                'TDSR': (56.4,),
                'SOD-MTGAN': (68.1,),
                'SR4IR': (71.4,),
            },
        },
    ),
    's1': dict(
        source='Table S1: T trained on the images of a frozen S',
        metrics=('task',),
        rows={
            'S by pixel loss': on_frozen(SR),
            'S by pixel + perceptual loss': on_frozen(SR_VGG),
            'S by SR4IR': on_frozen(SR4IR),
        },
        paper={
            ('cars', 'x8'): {
                'S by pixel loss': (68.3,),
                'S by pixel + perceptual loss': (69.7,),
                'S by SR4IR': (71.1,),
            },
        },
    ),
    's2': dict(
        source='Table S2: T trained on HR, tested on SR images',
        metrics=('task',),
        rows={
            'HR': H2T,
            'S by pixel loss': swapped(SR, H2T),
            'S by pixel + perceptual loss': swapped(SR_VGG, H2T),
            'S by SR4IR': swapped(SR4IR, H2T),
        },
        paper={
            ('cars', 'x8'): {
                'HR': (86.4,),
                'S by pixel loss': (29.4,),
                'S by pixel + perceptual loss': (46.5,),
                'S by SR4IR': (52.3,),
            },
        },
    ),
    's4': dict(
        source="Table S4: SR4IR's S of one task with T of another",
        metrics=('task',),
        rows={
            'S of segmentation': swapped('sr4ir_deeplabv3_voc_x8', SR4IR),
            'S of detection': swapped('sr4ir_faster-rcnn_voc_x8', SR4IR),
            'S of classification': swapped('sr4ir_resnet18_cars_x8', SR4IR),
        },
        paper={
            ('voc-seg', 'x8'): {
                'S of segmentation': (55.0,),
                'S of detection': (50.3,),
                'S of classification': (48.4,),
            },
            ('voc-det', 'x8'): {
                'S of segmentation': (22.4,),
                'S of detection': (25.5,),
                'S of classification': (20.0,),
            },
            ('cars', 'x8'): {
                'S of segmentation': (61.0,),
                'S of detection': (60.2,),
                'S of classification': (71.4,),
            },
        },
    ),
    's5': dict(
        source='Table S5: Gaussian blur before bicubic downsampling',
        metrics=('task', 'LPIPS'),
        rows={
            'L -> T, no blur': L2T,
            'SR4IR, no blur': SR4IR,
            'L -> T, std 5': 'degradations/l2t_{setup}_{scale}_blur5',
            'SR4IR, std 5': 'degradations/sr4ir_{setup}_{scale}_blur5',
            'L -> T, std 10': 'degradations/l2t_{setup}_{scale}_blur10',
            'SR4IR, std 10': 'degradations/sr4ir_{setup}_{scale}_blur10',
            'L -> T, std 15': 'degradations/l2t_{setup}_{scale}_blur15',
            'SR4IR, std 15': 'degradations/sr4ir_{setup}_{scale}_blur15',
        },
        paper={
            ('voc-seg', 'x8'): {
                'L -> T, no blur': (49.3, 0.476),
                'SR4IR, no blur': (55.0, 0.380),
                'L -> T, std 5': (47.9, 0.543),
                'SR4IR, std 5': (56.4, 0.367),
                'L -> T, std 10': (38.3, 0.631),
                'SR4IR, std 10': (49.8, 0.485),
                'L -> T, std 15': (29.5, 0.650),
                'SR4IR, std 15': (41.4, 0.543),
            },
        },
    ),
    's6': dict(
        source='Table S6: S on SR benchmarks, Y channel',
        metrics=tuple(
            f'{images}/{metric}'
            for images in ('Set5', 'Set14', 'B100', 'Urban100')
            for metric in ('PSNR', 'SSIM')
        ),
        rows={
            'S, pre-trained': on_sr_benchmarks(),
            'S by pixel loss': on_sr_benchmarks(sr_net=SR),
            'S by SR4IR': on_sr_benchmarks(sr_net=SR4IR),
        },
        paper={
            ('voc-seg', 'x4'): {
                'S, pre-trained': (
                    *(32.10, 0.863, 28.58, 0.743),
                    *(27.56, 0.711, 26.04, 0.763),
                ),
                'S by SR4IR': (
                    *(29.32, 0.800, 26.76, 0.688),
                    *(26.39, 0.660, 23.77, 0.667),
                ),
            },
        },
    ),
    'sr2': dict(
        source='SR2, table 1, figures 4 and 6',
        metrics=('SSIM', 'task'),
        rows={
            'SRMD': 'sr2/sr_srmd_mnist_{scale}',
            'FSRCNN': 'sr2/sr_fsrcnn_mnist_{scale}',
            'WDSR': 'sr2/sr_wdsr_mnist_{scale}',
            'FSRCNN, sequential': 'sr2/seq_fsrcnn_mnist_{scale}',
            'SR2, FSRCNN': 'sr2/sr2_fsrcnn_mnist_{scale}',
            'SR2, WDSR': 'sr2/sr2_wdsr_mnist_{scale}',
        },
        paper=over_noise(
            'mnist',
            {
                ('mnist', 'x2', 1e-4): {
                    'SRMD': (0.917, None),
                    'FSRCNN': (0.944, None),
                    'WDSR': (0.950, None),
                    'SR2, FSRCNN': (0.942, None),
                    'SR2, WDSR': (0.959, None),
                },
                ('mnist', 'x4', 1e-4): {
                    'SRMD': (0.803, None),
                    'FSRCNN': (0.796, None),
                    'WDSR': (0.768, None),
                    'SR2, FSRCNN': (0.828, None),
                    'SR2, WDSR': (0.801, None),
                },
            },
        ),
    ),
    'sr2-svhn': dict(
        source='SR2, figure 10',
        metrics=('SSIM', 'task'),
        rows={
            'WDSR': 'sr2/sr_wdsr_svhn_{scale}',
            'SR2, WDSR, 1 shared': 'sr2/sr2_wdsr_svhn_{scale}',
            'SR2, WDSR, 4 shared': 'sr2/sr2_wdsr-4sl_svhn_{scale}',
        },
        paper=over_noise('svhn', {}),
    ),
}
