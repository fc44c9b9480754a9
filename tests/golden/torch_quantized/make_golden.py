"""Writes the state dicts of small networks that torchvision quantized, and what torch computes with them.

NAME.pth is the state dict of torchvision.models.quantization.NAME with few channels and blocks, 10 classes and weights drawn from a seed,
calibrated on drawn pictures and converted; NAME.safetensors has its logits of pictures (pixel / 64 - 2) and the layers' codes of the first.

Run: python tests/golden/torch_quantized/make_golden.py   (torch 2.15, torchvision 0.29, engine x86 wrote the committed files)
"""
import pathlib
import zipfile

import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

FOLDER = pathlib.Path(__file__).parent
SIZE, CLASSES, THIN, PICTURES = 32, 10, 16, 8


def thin(model):
    """A sixteenth of the channels, as --width 0.0625 of ours."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Conv2d):
            inputs = module.in_channels if module.in_channels == 3 else module.in_channels // THIN
            new = nn.Conv2d(inputs, module.out_channels // THIN, module.kernel_size, module.stride, module.padding, bias=False)
        elif isinstance(module, nn.BatchNorm2d):
            new = nn.BatchNorm2d(module.num_features // THIN)
        elif isinstance(module, nn.Linear):
            new = nn.Linear(module.in_features // THIN, CLASSES)
        else:
            continue
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, new)
    return model


def networks():
    q = torchvision.models.quantization
    yield "resnet18", thin(q.resnet18(weights=None))
    setting = [[1, 8, 1, 1], [6, 16, 2, 2], [6, 24, 2, 2]]
    yield "mobilenet_v2", q.mobilenet_v2(weights=None, width_mult=0.25, num_classes=CLASSES, inverted_residual_setting=setting)


def draw(model):
    """Weights, and statistics of batch norm that are those of drawn pictures."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            module.momentum = None
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)
    model.train()
    with torch.no_grad():
        model(torch.randn(32, 3, SIZE, SIZE))


def quantized(model):
    for module in model.modules():
        if isinstance(module, torchvision.ops.misc.Conv2dNormActivation):
            for i, child in enumerate(module):
                if isinstance(child, nn.ReLU6):
                    module[i] = nn.ReLU(inplace=False)
    model.eval()
    model.fuse_model(is_qat=False)
    model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    torch.ao.quantization.prepare(model, inplace=True)
    model(torch.randn(32, 3, SIZE, SIZE))
    return torch.ao.quantization.convert(model, inplace=True)


def save(name, model):
    plain = FOLDER / "plain.pth"
    torch.save(model.state_dict(), plain)
    with zipfile.ZipFile(plain) as stored, zipfile.ZipFile(FOLDER / f"{name}.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for record in stored.namelist():
            packed.writestr(zipfile.ZipInfo(record.replace("plain/", name + "/")), stored.read(record), zipfile.ZIP_DEFLATED)
    plain.unlink()


def codes_of(model, x):
    """The codes of each convolution and linear layer, by its name."""
    codes = {}

    def keep(name):
        return lambda module, args, y: codes.__setitem__(name, y.int_repr())

    handles = [m.register_forward_hook(keep(n)) for n, m in model.named_modules() if hasattr(m, "_weight_bias") or hasattr(m, "_packed_params")]
    logits = model(x)
    for handle in handles:
        handle.remove()
    return logits, codes


def main():
    torch.backends.quantized.engine = "x86"
    for name, model in networks():
        torch.manual_seed(1)
        draw(model)
        model = quantized(model)
        save(name, model)
        pixels = torch.randint(0, 256, (PICTURES, SIZE, SIZE, 3), dtype=torch.uint8)
        logits, codes = codes_of(model, pixels.permute(0, 3, 1, 2) / 64 - 2)
        out = {"pixels": pixels, "logits": logits}
        for layer, value in codes.items():
            out["codes." + layer] = (value[:1].permute(0, 2, 3, 1) if value.dim() == 4 else value).contiguous()
        save_file(out, FOLDER / f"{name}.safetensors")


if __name__ == "__main__":
    with torch.no_grad():
        main()
