"""Golden values of AdamW and of the learning rate schedules: adamw.json.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2
    python make_adamw.py

Three tensors (f32 matrix, f32 vector without decay, bf16 matrix with an f32 master copy) take
eight steps of torch.optim.AdamW on given gradients clipped by torch.nn.utils.clip_grad_norm_;
the schedules are transformers' own; the rates of LoRA+ are those of PEFT.
"""

import json
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import (get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup,
                          get_cosine_with_min_lr_schedule_with_warmup,
                          get_linear_schedule_with_warmup)

STEPS = 8
OPTIONS = dict(betas=(0.9, 0.95), eps=1e-6, foreach=False, fused=False)
WEIGHT_DECAY = 0.1
CLIP = 1.5


def numbers(tensor):
    return tensor.detach().double().flatten().tolist()


def adamw():
    torch.manual_seed(0)
    shapes = {"matrix": (3, 5), "vector": (7,), "narrow": (2, 4)}
    values = {name: torch.randn(shape) for name, shape in shapes.items()}
    values["narrow"] = values["narrow"].bfloat16().float()
    # The bf16 tensor is trained through its f32 master; what is stored is the rounding.
    parameters = {name: torch.nn.Parameter(value.clone()) for name, value in values.items()}
    optimizer = torch.optim.AdamW(
        [{"params": [parameters["matrix"], parameters["narrow"]], "weight_decay": WEIGHT_DECAY},
         {"params": [parameters["vector"]], "weight_decay": 0.0}], lr=0.0, **OPTIONS)
    result = {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-6, "weight_decay": WEIGHT_DECAY,
              "clip": CLIP, "tensors": {name: {"shape": list(shape), "start": numbers(values[name])}
                                        for name, shape in shapes.items()}, "steps": []}
    for step in range(STEPS):
        rate = 0.01 * (step + 1)
        gradients = {name: torch.randn(shape) * (0.2 + step / 4) for name, shape in shapes.items()}
        gradients["narrow"] = gradients["narrow"].bfloat16().float()
        for name, parameter in parameters.items():
            parameter.grad = gradients[name].clone()
        for group in optimizer.param_groups:
            group["lr"] = rate
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP)
        optimizer.step()
        result["steps"].append({
            "learning_rate": rate, "gradient_norm": float(norm),
            "gradients": {name: numbers(value) for name, value in gradients.items()},
            "values": {name: numbers(value) for name, value in parameters.items()}})
    return result


def lora_plus():
    """A, B and a bias of one layer in the groups of PEFT's LoRA+, three steps of AdamW."""
    torch.manual_seed(1)
    model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(5, 3)),
                           LoraConfig(r=2, target_modules=["0"], bias="all"))
    optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=0.01, loraplus_lr_ratio=8,
                                          loraplus_weight_decay=WEIGHT_DECAY, **OPTIONS)
    trained = {name.removeprefix("base_model.model.").removesuffix(".weight"): parameter
               for name, parameter in model.named_parameters() if parameter.requires_grad}
    result = {"learning_rate": 0.01, "ratio": 8,
              "tensors": {name: {"shape": list(value.shape), "start": numbers(value)}
                          for name, value in trained.items()}, "steps": []}
    for _ in range(3):
        for value in trained.values():
            value.grad = torch.randn(value.shape)
        gradients = {name: numbers(value.grad) for name, value in trained.items()}
        optimizer.step()
        result["steps"].append({"gradients": gradients, "values": {
            name: numbers(value) for name, value in trained.items()}})
    return result


def schedules():
    result = []
    for make, name, arguments in [
            (get_constant_schedule_with_warmup, "constant", {}),
            (get_linear_schedule_with_warmup, "linear", {}),
            (get_cosine_schedule_with_warmup, "cosine", {}),
            (get_cosine_with_min_lr_schedule_with_warmup, "cosine", {"min_lr_rate": 0.1})]:
        for warmup in [0, 3]:
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
            steps = {} if name == "constant" else {"num_training_steps": 10}
            scheduler = make(optimizer, num_warmup_steps=warmup, **steps, **arguments)
            rates = []
            for _ in range(10):
                rates.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            result.append({"schedule": name, "warmup": warmup, "steps": 10, "learning_rate": 0.5,
                           "min_learning_rate": arguments.get("min_lr_rate", 0.0),
                           "rates": rates})
    return result


if __name__ == "__main__":
    path = pathlib.Path(__file__).with_name("adamw.json")
    path.write_text(json.dumps({"adamw": adamw(), "lora_plus": lora_plus(),
                                "schedules": schedules()}) + "\n")
