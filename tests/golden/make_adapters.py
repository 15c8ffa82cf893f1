"""PEFT adapters for the checkpoints of make_families.py: folders as PEFT saves them, and what PEFT makes of them."""

import json
import re
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

import make_models

RANK = 4
ALPHA = 6  # not a multiple of the rank, so that a wrong scale shows
ROUTER_GAP = 3e-3


def least_router_gap(model, run):
    """The smallest difference between the logits of the last expert chosen and the first one left out."""
    gaps = []

    def watch(module, _, output):
        best = output[0].float().sort(-1, descending=True).values
        gaps.append((best[:, module.top_k - 1] - best[:, module.top_k]).min().item())

    hooks = [module.register_forward_hook(watch) for module in model.modules() if hasattr(module, "top_k")
             and hasattr(module, "weight")]
    run(model)
    for hook in hooks:
        hook.remove()
    return min(gaps, default=1.0)


def loss_and_gradients(model, saved, ids):
    """`saved` are the names of the file: the parameters' names without the adapter's."""
    out = model(input_ids=ids, labels=ids)
    model.zero_grad()
    out.loss.backward()
    values = dict(loss=out.loss.item(), gradients={})
    for name, parameter in model.named_parameters():
        name = name.replace(".default", "")
        if name in saved:
            gradient = parameter.grad
            values["gradients"][name] = dict(norm=gradient.norm().item(), sum=gradient.sum().item(),
                                             first=gradient.flatten()[:6].tolist())
    assert set(values["gradients"]) == set(saved), set(saved) ^ set(values["gradients"])
    return values


def tidy(folder):
    """No path of this machine, and nothing but the two files that are read."""
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    config["base_model_name_or_path"] = None
    for field in ("target_modules", "target_parameters"):
        if isinstance(config.get(field), list):
            config[field].sort()
    file.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def write(base, name, ids, seed, **targets):
    """A LoRA adapter with random factors; `targets` are fields of LoraConfig."""
    folder = base / name
    shutil.rmtree(folder, ignore_errors=True)
    ids = torch.tensor(ids)
    plain = make_models.fresh(base)
    without = plain(input_ids=ids, labels=ids).loss.item()
    conv1d = any(type(module).__name__ == "Conv1D" for module in plain.modules())
    model = get_peft_model(plain, LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA,
                                             fan_in_fan_out=conv1d, **targets)).eval()
    while True:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for key, parameter in sorted(model.named_parameters()):
                if ".lora_" in key:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        if least_router_gap(model, lambda model: model(input_ids=ids)) > ROUTER_GAP:
            break
        seed += 1000
    model.save_pretrained(folder)
    tidy(folder)
    values = loss_and_gradients(model, load_file(folder / "adapter_model.safetensors"), ids)
    again = PeftModel.from_pretrained(make_models.fresh(base), folder).eval()
    loss = again(input_ids=ids, labels=ids).loss.item()
    assert abs(loss - values["loss"]) < 1e-6, f"{folder}: what was saved is not what was measured"
    assert abs(without - loss) > 1e-2, f"{folder} changes too little: {without} {loss}"
    return values


def write_older(base, name, ids, seed):
    """As PEFT wrote it when each expert of Mixtral was three modules; PEFT fuses w1 and w3 when it loads the folder."""
    folder = base / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, weight in sorted(load_file(base / "model.safetensors").items()):
        if ".experts." in key:
            module = "base_model.model." + key.removesuffix(".weight")
            out, width = weight.shape
            tensors[f"{module}.lora_A.weight"] = torch.randn(RANK, width, generator=generator) * 0.2
            tensors[f"{module}.lora_B.weight"] = torch.randn(out, RANK, generator=generator) * 0.2
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = dict(peft_type="LORA", task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules=["w1", "w2", "w3"],
                  base_model_name_or_path=None, bias="none", fan_in_fan_out=False, inference_mode=True, lora_dropout=0.0,
                  modules_to_save=None)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    model = PeftModel.from_pretrained(make_models.fresh(base), folder).eval()
    merged = make_models.fresh(base)
    ids = torch.tensor(ids)
    with torch.no_grad():
        for key in tensors:
            if key.endswith("lora_A.weight"):
                layer, expert, part = re.search(r"layers\.(\d+)\..*experts\.(\d+)\.(w\d)", key).groups()
                delta = ALPHA / RANK * tensors[key.replace("lora_A", "lora_B")] @ tensors[key]
                experts = merged.model.layers[int(layer)].mlp.experts
                gate, up = experts.gate_up_proj[int(expert)].chunk(2)
                dict(w1=gate, w3=up, w2=experts.down_proj[int(expert)])[part].add_(delta)
        difference = (merged(input_ids=ids).logits - model(input_ids=ids).logits).abs().max()
        assert difference < 1e-4, f"PEFT disagrees with the sum of weights by {difference}"
        gap = least_router_gap(model, lambda model: model(input_ids=ids))
        assert gap > ROUTER_GAP, f"experts nearly tied: {gap}"
        return dict(loss=model(input_ids=ids, labels=ids).loss.item())
