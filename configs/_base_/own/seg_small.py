# DeepLabV3 on EfficientNet-Lite0, without its SR network: for `wrap`.
_base_ = ['./schedule.py', '../models/deeplabv3_lite0.py']

default_scope = 'mmseg'
model = dict(_delete_=True, **_base_.model.task_model)
