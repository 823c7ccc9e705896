# Table 6 (C): TDP while both networks are trained jointly. In the paper this
# collapses.
_base_ = '../sr4ir_resnet18_cars_x8.py'

phases = [
    dict(
        name='joint',
        trains=['sr_net', 'task_model'],
        losses=[loss for phase in _base_.phases for loss in phase.losses],
    ),
]
model = dict(phases=phases)
