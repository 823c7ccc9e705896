from typing import Optional, Union

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from sr4ir_mm.utils.config_files import prepare_config


def train(
    config: Union[str, Config],
    work_dir: Optional[str] = None,
    cfg_options: Optional[dict] = None,
    launcher: str = 'none',
    **options,
) -> Runner:
    """Train a model, as ``tools/train.py`` does.

    Args:
        config (str | Config): The config: a file, the name of one of ours, or
            one that was read.
        work_dir (str, optional): Where logs and results go. Defaults to what
            the config says, or ``work_dirs/`` and its name.
        cfg_options (dict, optional): Override settings of the config.
        launcher (str): What started the processes: ``none``, ``pytorch``,
            ``slurm`` or ``mpi``. Defaults to ``none``.
        **options: Of :func:`run_training`.

    Returns:
        Runner: Of this training, with ``model`` and ``work_dir``.

    Examples:
        >>> from sr4ir_mm import train
        >>> train('sr4ir_unet_toy_x4', work_dir='work_dirs/toy', amp=True)
    """
    cfg = prepare_config(config, work_dir, cfg_options, launcher)
    return run_training(cfg, **options)


def run_training(
    cfg: Config,
    resume: Union[bool, str, None] = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
) -> Runner:
    """Train by a config of
    :func:`~sr4ir_mm.utils.config_files.prepare_config`.

    Args:
        cfg (Config): The config, in which the options are set.
        resume (bool | str, optional): A checkpoint to go on from; True for the
            latest one in the working directory. Defaults to None.
        amp (bool): Whether to train in automatic mixed precision.
            Defaults to False.
        auto_scale_lr (bool): Whether to scale the learning rates with the
            global batch size. Defaults to False.
    """
    if amp:
        for wrapper in cfg.optim_wrapper.values():
            if isinstance(wrapper, dict):
                wrapper.type = (
                    'sr4ir_mm.BF16OptimWrapper'
                    if get_device() == 'cpu'  # which has no float16
                    else 'AmpOptimWrapper'
                )
    if auto_scale_lr:
        if cfg.get('auto_scale_lr', {}).get('base_batch_size') is None:
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr=dict('
                'base_batch_size=...) in the config.'
            )
        cfg.auto_scale_lr.enable = True
    if resume:
        cfg.resume = True
        # with none given, the runner looks for the latest one
        cfg.load_from = None if resume is True else resume
    runner = RUNNERS.build(cfg)
    runner.train()
    return runner
