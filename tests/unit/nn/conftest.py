"""One thread: small tensors gain nothing from more, and lose much where other tests run beside."""

import torch

from shared.nn.kernels.limits import has_triton

torch.set_num_threads(1)

collect_ignore = [] if has_triton() else ["test_triton.py"]
