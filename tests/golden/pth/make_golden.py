"""Writes the files of weights that tests/apps/weights reads, with torch.save, and what is in them.

Run: python tests/golden/pth/make_golden.py   (torch 2.15 wrote the committed files)
"""
import argparse
import collections
import pathlib
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent


class Recipe(dict):
    """A class that no reader of weights knows."""


def net():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(9, 2))


def save(name, value):
    torch.save(value, FOLDER / name)


def training():
    """What training scripts save: the weights among much else."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(2, 2, 5, 3)).sum().backward()
    optimizer.step()
    save("training.pth", {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 7,
        "args": argparse.Namespace(lr=0.1, layers=[1, 2]), "best": np.float64(71.5),
        "recipe": Recipe(name="x"), "losses": [0.5, 0.25], "counts": collections.Counter("aab")})
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, FOLDER / "training.safetensors")


def views():
    """Transposed, shared, strided and 16-bit tensors."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    linear = torch.nn.Linear(6, 4)
    with torch.no_grad():
        linear.weight.copy_(base)
    tensors = {
        "whole": base, "transposed": base.t(), "part": base[1:3, 2:5], "every_second": base[::2, ::3],
        "tied": linear.weight, "tied_too": linear.weight, "half": base.half() / 8, "row": base[2],
        "bfloat": base.t().bfloat16(), "double": base.double(), "bool": base > 3, "none": base[:0],
        "channels_last": torch.arange(24.).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)}
    save("views.pth", tensors)
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, FOLDER / "views.safetensors")


def unsupported():
    """One file a kind of tensor that is refused."""
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    save("quantized.pth", {"w": torch.quantize_per_tensor(x, 0.5, 0, torch.qint8)})
    save("quantized_channel.pth", {"w": torch.quantize_per_channel(
        x, torch.tensor([0.5, 1.0]), torch.tensor([0, 0]), 0, torch.qint8)})
    save("sparse.pth", {"w": x.to_sparse()})
    save("complex.pth", {"w": x.to(torch.complex64)})
    save("short.pth", {"w": x.short()})
    save("meta.pth", {"w": x.to("meta")})


def other_forms():
    model = net()
    torch.save(model.state_dict(), FOLDER / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(FOLDER / "script.pth"))
    torch.save({"w": torch.ones(2)}, FOLDER / "protocol4.pth", pickle_protocol=4)
    with zipfile.ZipFile(FOLDER / "training.pth") as plain, \
            zipfile.ZipFile(FOLDER / "deflated.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))


training()
views()
unsupported()
other_forms()
