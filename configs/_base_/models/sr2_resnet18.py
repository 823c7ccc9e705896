# The classifier of SR2 (section 2): ResNet-18 without its last two identity
# mappings, that is without its fourth stage, and with "less downsampling":
# "the stride is always 1 except for the identity mapping with downsampling"
# (fig. 2), hence a stem of stride 1 without pooling, as for CIFAR. It divides
# the input's sides by 4: 14x14 pixels become 4x4, 7x7 become 2x2.
#
# Sequential, on the view 'sr': 2,777,674 parameters. In parallel, it reads the
# SR network's features: set `backbone.in_channels` to their number, 56 of
# FSRCNN's first layer or 32 of WDSR.
num_classes = 10
classifier = dict(
    type='ImageClassifier',
    # What it sees are images in [0, 1], as the SR networks.
    data_preprocessor=dict(
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        to_rgb=True,
        num_classes=num_classes,
    ),
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        in_channels=3,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        # The paper initializes by He et al.; zeros would hardly move at its
        # learning rate of 1e-5.
        zero_init_residual=False,
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=num_classes,
        in_channels=256,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1,),
    ),
)
