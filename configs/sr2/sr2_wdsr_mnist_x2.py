_base_ = './sr2_fsrcnn_mnist_x2.py'

model = dict(
    sr_net=dict(type='sr4ir_mm.WDSR'),
    task_model=dict(backbone=dict(in_channels=32)),  # of the shared layers
)
