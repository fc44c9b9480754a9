"""Writes images.safetensors with Pillow, torchvision and torch: what data/ must reproduce.

Run: python tests/golden/data/make_golden.py   (Pillow 13, torchvision 0.29 wrote the committed file)
"""
import io
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision import transforms


def noise(width, height, channels=3):
    """The rule of tests/data/golden_file.cpp: every pixel far from its neighbours, so that rounding shows."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    mixed = (x * 73856093) ^ (y * 19349663) ^ (c * 83492791)
    return ((mixed >> 7) & 255).astype(np.uint8)


def smooth(width, height, channels=3):
    """Waves that a JPEG keeps."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    return (127.5 + 127 * np.sin(x * 0.3 + c) * np.cos(y * 0.2 - c)).astype(np.uint8)


out = {}

# resize.W.H.w.h[.left.top.right.bottom]: W x H noise to w x h.
for size, to, box in [
    ((37, 23), (16, 10), None), ((37, 23), (16, 23), None), ((37, 23), (37, 11), None), ((16, 10), (37, 23), None),
    ((50, 41), (7, 5), None), ((64, 64), (48, 56), None), ((61, 7), (1, 1), None), ((1, 9), (5, 4), None),
    ((200, 3), (9, 6), None), ((33, 33), (33, 33), None), ((45, 31), (22, 22), (3, 5, 40, 29)),
    ((45, 31), (30, 30), (10.25, 4.5, 33.75, 20.125)), ((45, 31), (20, 12), (10, 10, 30, 22)),
]:
    image = Image.fromarray(noise(*size)).resize(to, Image.BILINEAR, box=box)
    name = "resize." + ",".join(str(v) for v in (*size, *to, *(box or ())))
    out[name] = np.asarray(image)

# centre.W.H.resize.size: torchvision's evaluation transform; 0 for no resize.
for width, height, resize, size in [(57, 41, 24, 20), (41, 57, 24, 20), (30, 50, 16, 21), (33, 20, 0, 21), (20, 20, 20, 20),
                                    (31, 29, 0, 20), (90, 30, 12, 12)]:
    steps = ([transforms.Resize(resize)] if resize else []) + [transforms.CenterCrop(size)]
    out[f"centre.{width},{height},{resize},{size}"] = np.asarray(transforms.Compose(steps)(Image.fromarray(noise(width, height))))

# Every byte in every channel through ToTensor and Normalize.
ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2))
tensor = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(transforms.ToTensor()(ramp))
out["normalize"] = tensor[:, 0, :].contiguous().numpy()


def coded(name, image, **options):
    """NAME.file: the coded bytes; NAME.pixels: what Pillow makes of them."""
    buffer = io.BytesIO()
    image.save(buffer, **options)
    out[name + ".file"] = np.frombuffer(buffer.getvalue(), np.uint8)
    out[name + ".pixels"] = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))


rgb = Image.fromarray(smooth(45, 31))
alpha = Image.fromarray(noise(45, 31, 1)[..., 0])
coded("jpeg_420", rgb, format="JPEG", quality=75, subsampling="4:2:0")
coded("jpeg_422", rgb, format="JPEG", quality=90, subsampling="4:2:2")
coded("jpeg_444", rgb, format="JPEG", quality=90, subsampling="4:4:4")
coded("jpeg_411", rgb, format="JPEG", quality=75, subsampling="4:1:1")
coded("jpeg_progressive", rgb, format="JPEG", quality=75, progressive=True)
coded("jpeg_grey", rgb.convert("L"), format="JPEG", quality=80)
coded("jpeg_cmyk", Image.fromarray(smooth(45, 31, 4), "CMYK"), format="JPEG", quality=90)
exif = Image.Exif()
exif[0x0112] = 6
coded("jpeg_rotated", rgb, format="JPEG", quality=75, exif=exif)
coded("png_palette", rgb.quantize(16), format="PNG")
coded("png_palette_alpha", rgb.quantize(16), format="PNG", transparency=3)
coded("png_grey_alpha", Image.merge("LA", (rgb.convert("L"), alpha)), format="PNG")
coded("png_rgba", Image.merge("RGBA", (*rgb.split(), alpha)), format="PNG")
coded("png_bit", rgb.convert("1"), format="PNG")
coded("bmp", rgb, format="BMP")
coded("webp", rgb, format="WEBP", lossless=True)
coded("ppm", rgb, format="PPM")

save_file(out, pathlib.Path(__file__).with_name("images.safetensors"))
