# Where the SR network of the others starts: pixels alone.
_base_ = [
    '../baselines/sr_faster-rcnn_voc_x8_swinir.py',
    '../_base_/degradations/mixture_a.py',
]

model = dict(degradation=_base_.degradation)
