# DeepLabV3 on ResNet50 as torchvision has it, output stride 8: 42,004,074
# parameters at 21 classes. The paper's "larger backbone".
_base_ = './deeplabv3_mobilenet-v3.py'

model = dict(
    task_model=dict(
        backbone=dict(
            _delete_=True,
            type='ResNet',
            depth=50,
            out_indices=(2, 3),
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            contract_dilation=True,
            norm_cfg=dict(type='BN'),
            norm_eval=False,
            style='pytorch',
            init_cfg=dict(
                type='Pretrained', checkpoint='torchvision://resnet50'
            ),
        ),
        decode_head=dict(in_channels=2048),
        auxiliary_head=dict(in_channels=1024, channels=256),
    ),
)
