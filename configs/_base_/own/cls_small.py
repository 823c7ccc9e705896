# A classifier on EfficientNet-Lite0, without its SR network: for `wrap`.
_base_ = ['./schedule.py', '../models/lite0.py']

default_scope = 'mmpretrain'
model = dict(_delete_=True, **_base_.model.task_model)
