"""Writes the encoders of encoders.py below tests/golden/encoders, and what transformers and PEFT make of them in f32.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0
    python make_encoders.py [NAME ...]

Each folder holds config.json, model.safetensors and expected.json: ids of two rows, one shorter than the other, types
and labels, what the model says of them, the loss and its gradients; adapter and adapter.json: an adapter with random
factors and, where it has one, a head of its own, and the same of it.
"""

import copy
import json
import pathlib
import shutil
import sys
import tempfile

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

import make_families
from encoders import ENCODERS

HERE = pathlib.Path(__file__).parent / "encoders"
LENGTHS = [17, 11]
LEAST_CHANGE = 5e-4
RANK, ALPHA = 4, 6


def fresh(folder, row, config=None):
    """Plain attention, in f32."""
    cls = getattr(transformers, row.architecture)
    options = dict(dtype=torch.float32) | (dict(config=config) if config else {})
    if row.model_type != "deberta-v2":
        options["attn_implementation"] = "eager"
    return cls.from_pretrained(folder, **options).eval()


def kind_of(row):
    for end, kind in (("ForSequenceClassification", "sequence"), ("ForQuestionAnswering", "spans"),
                      ("ForTokenClassification", "tokens"), ("ForMaskedLM", "masked_token")):
        if row.architecture.endswith(end):
            return kind
    return "states"


def end_of(row):
    """The token whose last state stands for a sequence: of encoder-decoders."""
    config = AutoConfig.for_model(row.model_type, **copy.deepcopy(row.fields))
    return config.eos_token_id if getattr(config, "is_encoder_decoder", False) else None


def inputs_of(row, seed):
    """ids, types and labels of rows of LENGTHS, each by itself."""
    generator = torch.Generator().manual_seed(1000 + seed)
    kind = kind_of(row)
    labels = len(row.fields.get("id2label", [0, 0]))
    ends = end_of(row) if kind == "sequence" else None
    rows = []
    for length in LENGTHS:
        own = dict(ids=torch.randint(6, 60, (length,), generator=generator) if ends else
                   torch.randint(3, 60, (length,), generator=generator))
        if ends:
            own["ids"][[length // 2, -1]] = ends
        if row.fields.get("type_vocab_size", 0) > 1:
            own["types"] = (torch.arange(length) >= length // 2).long()
        if kind == "sequence" and row.fields.get("problem_type") == "multi_label_classification":
            own["labels"] = torch.randint(0, 2, (labels,), generator=generator).float()
        elif kind == "sequence" and labels == 1:
            own["labels"] = torch.randn(1, generator=generator)[0]
        elif kind == "sequence":
            own["labels"] = torch.randint(0, labels, (1,), generator=generator)[0]
        elif kind == "spans":
            own["labels"] = torch.randint(1, length, (2,), generator=generator).sort().values
        elif kind in ("tokens", "masked_token"):
            most = labels if kind == "tokens" else 60
            chosen = torch.randint(0, most, (length,), generator=generator)
            own["labels"] = torch.where(torch.arange(length) % 3 == 1, chosen, torch.tensor(-100))
        rows.append(own)
    return rows


def padded(rows, name, value):
    return torch.nn.utils.rnn.pad_sequence([own[name] for own in rows], batch_first=True, padding_value=value)


def run(model, row, rows):
    """What the model says, a row each, and the loss: of the padded batch, but for spans, whose padding takes part in
    transformers' softmax, of each row by itself."""
    kind = kind_of(row)
    if hasattr(model, "get_base_model"):
        model = model.get_base_model()  # PEFT's own model for questions leaves types of tokens out
    config = model.config
    if kind == "spans":
        said, losses = [], []
        for own in rows:
            call = dict(input_ids=own["ids"][None], attention_mask=torch.ones_like(own["ids"])[None])
            if "types" in own:
                call["token_type_ids"] = own["types"][None]
            out = model(start_positions=own["labels"][:1], end_positions=own["labels"][1:], **call)
            said.append(torch.stack([out.start_logits[0], out.end_logits[0]], -1))
            losses.append(out.loss)
        return said, torch.stack(losses).mean()
    ids = padded(rows, "ids", config.pad_token_id)
    mask = padded([dict(ids=torch.ones_like(own["ids"])) for own in rows], "ids", 0)
    call = dict(input_ids=ids, attention_mask=mask)
    if "types" in rows[0]:
        call["token_type_ids"] = padded(rows, "types", 0)
    if kind == "states":
        states = model(**call).last_hidden_state
        means = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return list(means), means.square().mean()
    if kind == "sequence":
        out = model(labels=torch.stack([own["labels"] for own in rows]), **call)
        return list(out.logits), out.loss
    out = model(labels=padded(rows, "labels", -100), **call)
    return [logits[:length] for logits, length in zip(out.logits, LENGTHS, strict=True)], out.loss


def named_as_on_disk(model, row):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = load_file(pathlib.Path(folder) / "model.safetensors")
    if row.spelling == "older":
        tensors = {"bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma")
                   .replace("LayerNorm.bias", "LayerNorm.beta"): value for name, value in tensors.items()}
        tensors["cls.seq_relationship.weight"] = torch.zeros(2, row.fields["hidden_size"])
    return tensors


def write_checkpoint(folder, row, seed):
    config = AutoConfig.for_model(row.model_type, **copy.deepcopy(row.fields))
    model = make_families.randomize(getattr(transformers, row.architecture)(config), seed)
    tensors = {name: value.to(torch.bfloat16).contiguous() for name, value in named_as_on_disk(model, row).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = dict(architectures=[row.architecture], model_type=row.model_type, dtype="bfloat16", **row.fields)
    (folder / "config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")


def listed(rows):
    return {name: [own[name].tolist() for own in rows] for name in rows[0]}


def said_and_loss(said, loss):
    return dict(said=[values.tolist() for values in said], loss=loss.item())


def check_that_fields_matter(folder, row, rows, said):
    for change in row.matters:
        config = AutoConfig.for_model(row.model_type, **(copy.deepcopy(row.fields) | change))
        with tempfile.TemporaryDirectory() as other:
            tensors = load_file(folder / "model.safetensors")
            if "position_buckets" in change:
                name = next(name for name in tensors if name.endswith("rel_embeddings.weight"))
                tensors[name] = tensors[name][:2 * change["position_buckets"]].contiguous()
            save_file(tensors, pathlib.Path(other) / "model.safetensors", metadata={"format": "pt"})
            config.save_pretrained(other)
            with torch.no_grad():
                found, _ = run(fresh(other, row, config), row, rows)
        difference = max((a - b).abs().max().item() for a, b in zip(found, said, strict=True))
        assert difference > LEAST_CHANGE, f"{folder.name}: {change} changes {difference} only"


TASKS = dict(sequence="SEQ_CLS", spans="QUESTION_ANS", tokens="TOKEN_CLS", states="FEATURE_EXTRACTION")


def write_adapter(base, row, rows, seed):
    folder = base / "adapter"
    plain = fresh(base, row)
    model = peft.get_peft_model(plain, peft.LoraConfig(task_type=TASKS[kind_of(row)], r=RANK, lora_alpha=ALPHA,
                                                       target_modules=row.targets,
                                                       modules_to_save=row.saved or None)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    model.save_pretrained(folder)
    make_families.make_adapters.tidy(folder)
    saved = load_file(folder / "adapter_model.safetensors")
    said, loss = run(model, row, rows)
    model.zero_grad()
    loss.backward()
    values = dict(peft=peft.__version__, **said_and_loss(said, loss), gradients={})
    for name, parameter in model.named_parameters():
        name = name.replace(".modules_to_save.default", "").replace(".default", "")
        if name in saved and parameter.requires_grad:
            gradient = parameter.grad
            values["gradients"][name] = dict(norm=gradient.norm().item(), first=gradient.flatten()[:6].tolist())
    assert set(values["gradients"]) == set(saved), set(saved) ^ set(values["gradients"])
    again = peft.PeftModel.from_pretrained(fresh(base, row), folder).eval()
    assert abs(run(again, row, rows)[1].item() - loss.item()) < 1e-6
    (base / "adapter.json").write_text(json.dumps(make_families.digits(values)) + "\n")


def write(name, row, seed):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_checkpoint(folder, row, seed)
    rows = inputs_of(row, seed)
    model = fresh(folder, row)
    said, loss = run(model, row, rows)
    loss.backward()
    values = dict(transformers=transformers.__version__, kind=kind_of(row), **listed(rows),
                  **said_and_loss(said, loss),
                  gradients=make_families.gradients(model, lambda own: named_as_on_disk(own, row)))
    (folder / "expected.json").write_text(json.dumps(make_families.digits(values)) + "\n")
    check_that_fields_matter(folder, row, rows, said)
    if row.targets:
        write_adapter(folder, row, rows, 5000 + seed)
    print(name, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), "bytes")


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    assert peft.__version__ == "0.21.2", peft.__version__
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    for number, (name, row) in enumerate(ENCODERS.items()):
        if not sys.argv[1:] or name in sys.argv[1:]:
            write(name, row, 100 * number)


if __name__ == "__main__":
    main()
