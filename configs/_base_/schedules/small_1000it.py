# Half an hour on one CPU core, for the recipe `one_batch`: S starts from
# nothing and learns alone in the first fifth.
_base_ = './small_200it.py'

max_iters = 1000
alone = 200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 2)
optim_wrapper = dict(sr_net=dict(optimizer=dict(lr=2e-3)))
cosine = dict(_base_.cosine, T_max=max_iters - 20, end=max_iters)
param_scheduler = dict(
    sr_net=[_base_.warmup, cosine],
    task_model=[
        dict(_base_.warmup, begin=alone, end=alone + 20),
        dict(cosine, begin=alone + 20, T_max=max_iters - alone - 20),
    ],
)
default_hooks = dict(checkpoint=dict(interval=100))
custom_hooks = None  # BatchNorm's running statistics are right in one batch
