# Table 6 (B): TDP through a fixed task network, trained on HR images before.
_base_ = '../sr4ir_resnet18_cars_x8.py'

phases = _base_.phases
phases[0].losses[1].type = 'sr4ir_mm.FixedTDPLoss'
model = dict(
    phases=phases, teacher='work_dirs/h2t_resnet18_cars/epoch_200.pth'
)
