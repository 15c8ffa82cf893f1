"""LoftQ by full SVDs on the CPU, as PEFT's loftq_init alternates: bitsandbytes' NF4, torch.linalg.svd.

python loftq_peer.py [SIZE [ITERATIONS [THREADS]]]

loftq_init itself moves the matrix to a GPU; its steps are timed here on the CPU, at rank 64."""

import sys
import time

import bitsandbytes.functional as functional
import torch

size, iterations, threads = (int(a) for a in (sys.argv[1:] + ["4096", "5", "2"][len(sys.argv) - 1 :]))
torch.set_num_threads(threads)
torch.manual_seed(0)
weight = torch.randn(size, size) * 0.02
low_rank = torch.zeros_like(weight)
start = time.perf_counter()
for _ in range(iterations):
    codes, state = functional.quantize_4bit(weight - low_rank, blocksize=64, quant_type="nf4")
    residual = weight - functional.dequantize_4bit(codes, state)
    u, s, v = torch.linalg.svd(residual, full_matrices=False)
    low_rank = (u[:, :64] * s[:64]) @ v[:64]
seconds = time.perf_counter() - start
error = (residual - low_rank).norm() / weight.norm()
print(f"{seconds:.2f} s, relative error {error:.5f}")
