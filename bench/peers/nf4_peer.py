"""bitsandbytes on the CPU: NF4 quantize and dequantize of a 4096 x 4096 f32 matrix, block 64.

python nf4_peer.py [THREADS]"""

import sys
import time

import bitsandbytes.functional as functional
import torch

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
weight = torch.randn(4096, 4096)


def best(run, times=7):
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


seconds, (codes, state) = best(lambda: functional.quantize_4bit(weight, blocksize=64, quant_type="nf4"))
print(f"quantize    {weight.numel() * 4 / seconds / 1e9:.3f} GB/s of f32")
state.dtype = torch.bfloat16
seconds, _ = best(lambda: functional.dequantize_4bit(codes, state))
print(f"dequantize  {weight.numel() / seconds / 1e9:.3f} G elements/s to bf16")
