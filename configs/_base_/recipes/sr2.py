# SR2: the SR network on pixels, then both networks at once. The classifier
# reads the SR network's first layers, and trains these, but no other of them.
# Its weight is the paper's for FSRCNN on MNIST.
phases = [
    dict(
        name='sr',
        trains='sr_net',
        end=0.5,
        losses=[dict(type='sr4ir_mm.PixelLoss', criterion='l2')],
    ),
    dict(
        name='joint',
        trains=['sr_net', 'task_model'],
        begin=0.5,
        losses=[
            dict(type='sr4ir_mm.PixelLoss', criterion='l2'),
            dict(type='sr4ir_mm.TaskLoss', views=dict(shared=9.0)),
        ],
    ),
]
