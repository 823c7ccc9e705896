import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub


def test_mmengine_log_loads_safely(tmp_path):
    hub = MessageHub.get_instance('test_compat')
    for value in (1.0, np.float64(2.0), torch.tensor(3.0)):
        hub.update_scalar('loss', value)
    hub.update_info('epoch', np.int64(4))
    path = tmp_path / 'a.pth'
    torch.save(dict(message_hub=hub.state_dict()), path)
    loaded = torch.load(path)['message_hub']
    buffer = loaded['log_scalars']['loss']
    assert isinstance(buffer, HistoryBuffer)
    assert buffer.mean() == 2.0 and buffer.current() == 3.0


class Attack:
    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'add_safe_globals'),
    reason='this PyTorch loads unsafely by default',
)
def test_a_checkpoint_cannot_reach_for_other_attributes(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(Attack(), path)
    with pytest.raises(pickle.UnpicklingError, match='not allowed'):
        torch.load(path)


def test_mmagic_imports():
    import mmagic.models.editors  # noqa: F401  (reads np.bool8)
