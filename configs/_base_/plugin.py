# What every config of this package needs, whatever else it inherits.
#
# Reading a config applies sr4ir_mm/compat.py, so that the toolboxes' own
# scripts and inferencers can load our checkpoints on PyTorch >= 2.6.
custom_imports = dict(imports=['sr4ir_mm'])
# The forks find `mmseg::` configs from then on: list this base before them.
__import__('sr4ir_mm')

# Sound checkpoints, exact resuming, errors that name the file.
runner_type = 'sr4ir_mm.Runner'

# Each phase leaves one network out.
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    find_unused_parameters=True,
    broadcast_buffers=False,
)
