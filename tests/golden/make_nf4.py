#!/usr/bin/env python3
"""Writes nf4.json: what bitsandbytes makes of small weights, and the code books of LoftQ.

Needs torch 2.11 or later and bitsandbytes 0.50.2 (CPU). Floats are stored as the hexadecimal digits
of their IEEE bits, eight a value, codes as two digits a code.

    python make_nf4.py
"""

import json
import pathlib
import struct

import bitsandbytes
import bitsandbytes.functional as bnb
import torch


def floats(tensor):
    return "".join(f"{u:08x}" for u in struct.unpack(f"<{tensor.numel()}I", tensor.float().numpy().tobytes()))


def codes(tensor):
    return "".join(f"{c:02x}" for c in tensor.flatten().tolist())


def shapes():
    """Weights by the shape of their data; every row is a whole number of blocks."""
    generator = torch.Generator().manual_seed(20)
    normal = torch.randn(4, 128, generator=generator)
    outlier = normal.clone()
    outlier[1, 5] = 300.0
    midpoints = (bnb.get_4bit_type("nf4", device="cpu")[1:] + bnb.get_4bit_type("nf4", device="cpu")[:-1]) / 2
    ties = torch.zeros(1, 64)
    ties[0, :15] = midpoints
    ties[0, 15] = 1.0
    ties[0, 16:31] = midpoints.nextafter(torch.tensor(2.0))
    return {
        "normal": (normal, 64),
        "one_outlier": (outlier, 64),
        "all_zero": (torch.zeros(1, 64), 64),
        "flat": (torch.full((1, 128), -0.3), 64),
        "ramp": (torch.linspace(-1, 1, 256).reshape(1, 256), 128),
        "ties": (ties, 64),
        "denormal": (normal[:1] * 1e-40, 64),
        "tiny": (normal[:1] * 1e-37, 64),
        "large_blocks": (torch.randn(1, 1024, generator=generator), 512),
    }


def nf4(weight, block):
    packed, state = bnb.quantize_4bit(weight, blocksize=block, quant_type="nf4")
    unpacked = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], 1)
    return {
        "rows": weight.shape[0],
        "columns": weight.shape[1],
        "block": block,
        "weight": floats(weight),
        "codes": codes(unpacked),
        "absmax": floats(state.absmax),
        "dequantized": floats(bnb.dequantize_4bit(packed, state)),
    }


def double():
    """Double quantization of 8 x 3200 weights: 400 scales, so a whole and a part second-level block.

    Each block is zero but for its largest value, a multiple of 1/64: the mean of the scales is then
    the same in whatever order it is summed.
    """
    generator = torch.Generator().manual_seed(21)
    largest = torch.randint(16, 400, (400,), generator=generator) / 64
    largest[7] = 0
    weight = torch.zeros(400, 64)
    weight[:, 3] = largest
    weight = weight.reshape(8, 3200)
    packed, state = bnb.quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=True)
    scales = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    return {
        "rows": 8,
        "columns": 3200,
        "largest": floats(largest),
        "scale_codes": codes(state.absmax),
        "scale_scales": floats(state.state2.absmax),
        "offset": floats(state.offset.reshape(1)),
        "scales": floats(scales),
    }


def normal_map(bits, offset=0.9677083):
    """LoftQ, utils.py, NFQuantizer.create_normal_map (asymmetric)."""
    count = 2**bits

    def quantiles(n):
        return torch.special.ndtri(torch.linspace(offset, 0.5, n)[:-1].double()).tolist()

    values = quantiles(count // 2 + 1) + [0.0] + [-v for v in quantiles(count // 2)]
    values = torch.tensor(values, dtype=torch.float32).sort().values
    return values / values.max()


def main():
    out = {
        "made_by": f"make_nf4.py, torch {torch.__version__}, bitsandbytes {bitsandbytes.__version__}",
        "code_books": {
            "nf2": floats(normal_map(2)),
            "nf3": floats(normal_map(3)),
            "nf4": floats(bnb.get_4bit_type("nf4", device="cpu")),
            "nf8": floats(normal_map(8)),
            "uniform2": floats(torch.linspace(-1, 1, 4)),
            "uniform3": floats(torch.linspace(-1, 1, 8)),
            "uniform4": floats(torch.linspace(-1, 1, 16)),
            "uniform8": floats(torch.linspace(-1, 1, 256)),
            "dynamic8": floats(bnb.create_dynamic_map()),
        },
        "nf4": {name: nf4(weight, block) for name, (weight, block) in shapes().items()},
        "double": double(),
    }
    path = pathlib.Path(__file__).with_name("nf4.json")
    path.write_text(json.dumps(out, indent=1) + "\n")


main()
