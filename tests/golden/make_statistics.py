"""Writes tests/golden/statistics.json: what calibration finds out of one pair of some of the encoder-decoders that
make_seq2seq.py wrote, by torch's gradients and hooks in f32.

    pip install torch==2.11.0 transformers==5.23.0
    python make_statistics.py

Of each linear layer: the means of the rows and of the columns of the squared gradient of the mean loss, and the sums of
the rows of X^T X, X its inputs.
"""

import json
import pathlib

import torch

from make_seq2seq import HERE, fresh, inputs_of
from seq2seq import SEQ2SEQ

MODELS = ("bart", "mbart", "t5", "t5_gated")


def rounded(values):
    return [float(f"{value:.7g}") for value in values.tolist()]


def statistics_of(name):
    model = fresh(HERE / name, SEQ2SEQ[name])
    pair = inputs_of(len(name))[0]
    inputs = {}

    def keep(module):
        def take(_, args):
            inputs[module] = args[0].detach().reshape(-1, args[0].shape[-1])
        return take

    layers = {module: layer for module, layer in model.named_modules()
              if isinstance(layer, torch.nn.Linear) and module != "lm_head"}
    for module, layer in layers.items():
        layer.register_forward_pre_hook(keep(module))
    model(input_ids=pair["ids"][None], labels=pair["labels"][None]).loss.backward()
    out = {}
    for module, layer in layers.items():
        squared = layer.weight.grad.double().square()
        x = inputs[module].double()
        out[module] = dict(rows=rounded(squared.mean(1)), columns=rounded(squared.mean(0)),
                           gram=rounded((x.T @ x).sum(1)))
    return dict(ids=pair["ids"].tolist(), labels=pair["labels"].tolist(), layers=out)


(pathlib.Path(__file__).parent / "statistics.json").write_text(
    json.dumps({name: statistics_of(name) for name in MODELS}) + "\n")
