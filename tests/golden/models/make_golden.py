"""Writes mobilenet_v3.safetensors with torchvision: logits and gradients of weights made by a rule.

Run: python tests/golden/models/make_golden.py   (torchvision 0.29 wrote the committed file)
"""
import pathlib

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file

SEED = 1


def rule(t, n):
    """Numbers 0 to n - 1 of tensor t, in [0, 1): the rule of tests/nn/models_golden_test.cpp."""
    h = np.arange(n, dtype=np.uint32) * np.uint32(0x9E3779B1)
    h += np.uint32((t * 0x85EBCA77 + SEED * 0xC2B2AE3D) & 0xFFFFFFFF)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h.astype(np.float64) * 2.0**-32


def fill(model):
    state = model.state_dict()
    for t, (name, value) in enumerate(state.items()):
        u = rule(t, value.numel())
        if value.dim() >= 2:
            u = (u - 0.5) * np.sqrt(24 / (value.numel() // value.shape[0]))
        elif name.endswith(("bias", "running_mean")):
            u = 0.2 * (u - 0.5)
        elif value.dtype == torch.float32:
            u = 0.5 + u
        else:
            continue
        state[name] = torch.from_numpy(u.astype(np.float32)).reshape(value.shape)
    model.load_state_dict(state)


def main():
    out = {}
    pixels = (rule(65535, 2 * 3 * 64 * 64) - 0.5) * 3.4641016151377544
    x = torch.from_numpy(pixels.astype(np.float32)).double().reshape(2, 3, 64, 64)
    for name in ("mobilenet_v3_small", "mobilenet_v3_large"):
        model = getattr(torchvision.models, name)(weights=None, dropout=0.0)
        fill(model)
        model = model.double().eval()
        logits = model(x)
        torch.nn.functional.cross_entropy(logits, torch.tensor([3, 700])).backward()
        out[name + ".logits_eval"] = logits.detach().numpy()
        out[name + ".grad_eval_l2"] = np.array([p.grad.norm().item() for p in model.parameters()])
        out[name + ".logits_train"] = model.train()(x).detach().numpy()
        out[name + ".running_var_l2"] = np.array(
            [b.norm().item() for k, b in model.named_buffers() if k.endswith("running_var")])
    save_file(out, pathlib.Path(__file__).with_name("mobilenet_v3.safetensors"))


if __name__ == "__main__":
    main()
