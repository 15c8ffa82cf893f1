"""PEFT's LoftQ initialization (full SVDs) of one matrix: seconds for T iterations at rank 64.

python loftq_peer.py [SIZE [ITERATIONS [BITS [THREADS]]]]

PEFT refuses to run it without a GPU only for packing; its alternation itself is plain torch, and that
is what is timed: NF quantizer, residual, torch.linalg.svd, T times."""

import sys
import time

import torch
from peft.utils.loftq_utils import NFQuantizer, _low_rank_decomposition

size, iterations, bits, threads = (int(a) for a in (sys.argv[1:] + ["4096", "5", "4", "2"][len(sys.argv) - 1 :]))
torch.set_num_threads(threads)
torch.manual_seed(0)
weight = torch.randn(size, size) * 0.02
quantizer = NFQuantizer(num_bits=bits, device="cpu", method="normal", block_size=64)
residual = weight.clone()
start = time.perf_counter()
for _ in range(iterations):
    quantized, maxima, shape = quantizer.quantize_block(residual)
    dequantized = quantizer.dequantize_block(quantized, maxima, shape)
    out = _low_rank_decomposition(weight - dequantized, reduced_rank=64)
    residual = weight - torch.mm(out["L"], out["R"])
seconds = time.perf_counter() - start
error = (weight - dequantized - torch.mm(out["L"], out["R"])).norm() / weight.norm()
print(f"{seconds:.2f} s, relative error {error:.5f}")
