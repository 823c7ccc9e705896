# A SwinIR of the lightweight kind, with a tenth of its parameters.
_base_ = './swinir_x4.py'

sr_net = dict(
    depths=[4, 4],
    embed_dim=36,
    num_heads=[4, 4],
    upsampler='pixelshuffledirect',
    init_cfg=None,
)
sr_optim_wrapper = dict(optimizer=dict(lr=1e-3))
