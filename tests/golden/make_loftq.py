"""Golden values of LoftQ: loftq.json, from PEFT's own loftq_init with bitsandbytes' NF4.

    pip install torch==2.15.0 peft==0.21.2 bitsandbytes==0.50.2
    python make_loftq.py

PEFT moves the matrix to a GPU; the only change here is to let it stay on the CPU. The matrix is
noise plus a low-rank part, in steps of 1/1024 so that the file stays small. Its width is a multiple
of 64 because bitsandbytes' blocks run over row ends.
"""

import inspect
import json
import pathlib

import torch
from peft.utils import loftq_utils

ROWS, COLUMNS, RANK = 48, 128, 4


def loftq_init_on_cpu():
    source = inspect.getsource(loftq_utils.loftq_init)
    moved = source.replace('"xpu" if is_xpu_available() else "cuda"', '"cpu"')
    assert moved != source
    scope = dict(vars(loftq_utils))
    exec(compile(moved, "loftq_init", "exec"), scope)
    return scope["loftq_init"]


def numbers(tensor):
    return [float(f"{value:.8g}") for value in tensor.double().flatten().tolist()]


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    noise = torch.randn(ROWS, COLUMNS)
    signal = torch.randn(ROWS, 3) @ torch.randn(3, COLUMNS)
    steps = torch.round((noise + 0.5 * signal) * 256)
    weight = steps / 1024
    loftq_init = loftq_init_on_cpu()
    runs = []
    for iterations in (1, 2, 5):
        q, a, b = loftq_init(weight, num_bits=4, reduced_rank=RANK, num_iter=iterations)
        error = (weight - q - b @ a).double().norm() / weight.double().norm()
        runs.append({"iterations": iterations, "relative_error": error.item(), "a": numbers(a),
                     "b": numbers(b), "q_norm": q.double().norm().item(),
                     "q_row_sums": numbers(q.double().sum(1))})
    result = {"rows": ROWS, "columns": COLUMNS, "rank": RANK,
              "weight_times_1024": [int(value) for value in steps.flatten().tolist()],
              "runs": runs}
    path = pathlib.Path(__file__).with_name("loftq.json")
    path.write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
