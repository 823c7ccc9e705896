# SOD-MTGAN as the paper re-implements it (section S8): the task network has a
# real/fake branch and is the discriminator. Adversarial loss at 0.001, task
# and pixel losses at 1. The discriminator learns the task on both kinds of
# images, as in the original paper.
#
# `model.real_fake_branch.in_channels` is that of the last feature map.
recipe = dict(
    real_fake_branch=dict(type='sr4ir_mm.RealFakeBranch'),
    phases=[
        dict(
            name='sr',
            trains='sr_net',
            losses=[
                dict(type='sr4ir_mm.PixelLoss'),
                dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0)),
                dict(type='sr4ir_mm.AdversarialLoss', weight=0.001),
            ],
        ),
        dict(
            name='task',
            trains='task_model',
            losses=[
                dict(type='sr4ir_mm.TaskLoss', views=dict(sr=1.0, hr=1.0)),
                dict(type='sr4ir_mm.DiscriminatorLoss'),
            ],
        ),
    ],
)
