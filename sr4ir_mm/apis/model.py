from pathlib import Path
from typing import Optional, Union
from urllib.error import URLError

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import CheckpointLoader

from sr4ir_mm.engine.checkpoint_fit import (
    bare_weights,
    check_scale,
    describe_misfit,
)
from sr4ir_mm.model_zoo import suggest_models
from sr4ir_mm.models.pretrained import stays_finite
from sr4ir_mm.models.sr_task_model import SRTaskModel
from sr4ir_mm.registry import MODELS
from sr4ir_mm.utils.config_files import merge_options, read_config_file
from sr4ir_mm.utils.quiet import keep_short
from sr4ir_mm.utils.safe_config import read_config


def init_model(
    checkpoint: Union[str, Path],
    config: Union[str, Path, Config, None] = None,
    device: Optional[str] = None,
    cfg_options: Optional[dict] = None,
) -> SRTaskModel:
    """Build a model for prediction, with its weights.

    Args:
        checkpoint (str | Path): Path, address, or name of a model of the zoo.
        config (str | Path | Config, optional): Defaults to the one that
            mmengine stores in the checkpoint, which is read, but not run
            (:func:`~sr4ir_mm.utils.safe_config.read_config`).
        device (str, optional): Defaults to the GPU, if there is one.
        cfg_options (dict, optional): Override settings of the config.

    Returns:
        SRTaskModel: In eval mode, with ``cfg`` and ``dataset_meta`` (classes
        and palette, as far as they are known).

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If the checkpoint cannot be fetched, or read safely.
        ValueError: If it is not of a model of this package, or does not fit
            the config.
    """
    keep_short(MMLogger.get_current_instance())
    checkpoint = str(checkpoint)
    file = _load_checkpoint(checkpoint)
    if config is None:
        cfg = _config_inside(file, checkpoint)
    else:
        cfg = _load_config(config)
    merge_options(cfg, cfg_options or {})
    scope = cfg.get('default_scope') or 'mmengine'
    with DefaultScope.overwrite_default_scope(scope):
        model = _build_model(cfg, checkpoint if config is None else config)
    _load_weights(model, file, checkpoint)
    model.cfg = cfg
    model.dataset_meta = _dataset_meta(file, cfg, model.toolbox)
    model = revert_sync_batchnorm(model)  # which needs a process group
    return model.to(device or get_device()).eval()


def _load_checkpoint(checkpoint: str) -> dict:
    try:
        file = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    except FileNotFoundError:
        raise FileNotFoundError(
            f'There is no checkpoint {checkpoint!r}.'
            f'{suggest_models(checkpoint)}'
        ) from None
    except URLError as error:
        raise OSError(
            f'Cannot fetch the checkpoint {checkpoint!r}: {error}.'
        ) from error
    if not isinstance(file, dict):
        raise ValueError(
            f'The checkpoint {checkpoint!r} holds a {type(file).__name__}, '
            'not weights.'
        )
    return file


def _load_config(config: Union[str, Path, Config]) -> Config:
    if isinstance(config, Config):
        return Config(config.to_dict())
    return read_config_file(str(config))


def _config_inside(file: dict, checkpoint: str) -> Config:
    text = file.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise ValueError(
            f'The checkpoint {checkpoint!r} holds no config (training with '
            'mmengine stores it): give the config as well.'
        )
    return read_config(text, repr(checkpoint))


def _build_model(cfg: Config, source: Union[str, Config]) -> SRTaskModel:
    model_cfg = cfg.get('model', {}).copy()
    # what Runner does
    if cfg.get('data_preprocessor') is not None:
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    # Only training needs them, and they may load networks of their own.
    model_cfg.pop('phases', None)
    kind = MODELS.get(model_cfg.get('type', ''))
    if not (isinstance(kind, type) and issubclass(kind, SRTaskModel)):
        raise ValueError(
            f'The config of {source!r} is of a {model_cfg.get("type")}, not '
            'of a model of sr4ir_mm (SRSegmentor, SRDetector, SRClassifier): '
            "take its own toolbox's inferencer."
        )
    return MODELS.build(model_cfg)


def _load_weights(model: SRTaskModel, file: dict, checkpoint: str) -> None:
    weights = {
        name: weight
        for name, weight in bare_weights(file).items()
        if not name.startswith('phases.')
    }
    misfit = describe_misfit(weights, model)
    if misfit:
        raise ValueError(
            f'The weights of {checkpoint!r} do not fit the config '
            f'(model.scale={model.scale}): {misfit}. Is it the config that '
            'they were trained with?'
        )
    check_scale(file, model, repr(checkpoint))
    with stays_finite(model, repr(checkpoint)):
        # old BatchNorms do not count
        model.load_state_dict(weights, strict=False)


def _dataset_meta(file: dict, cfg: Config, scope: str) -> dict:
    """Classes and palette: the training data's, or what the config says."""
    meta = file.get('meta', {}).get('dataset_meta')
    if meta is not None:
        return meta
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    with DATASETS.switch_scope_and_registry(scope) as registry:
        kind = registry.get(dataset.get('type', ''))
    return {
        **getattr(kind, 'METAINFO', {}),
        **dataset.get('metainfo', {}),
    }
