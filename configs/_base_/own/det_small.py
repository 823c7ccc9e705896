# FCOS on EfficientNet-Lite0, without its SR network: for `wrap`.
_base_ = ['./schedule.py', '../models/fcos_lite0.py']

default_scope = 'mmdet'
model = dict(_delete_=True, **_base_.model.task_model)
