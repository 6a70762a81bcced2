"""One thread: small tensors gain nothing from more, and lose much where other tests run beside."""

import torch

torch.set_num_threads(1)
