"""Writes tests/golden/models: tiny random checkpoints, and what transformers makes of them in f32.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    python make_models.py

Each folder holds config.json, model.safetensors and expected.json: ids, mean loss, logits of some
positions, gradients, and a greedy continuation of the first row, alone and beside a longer row in a
left-padded batch.
"""

import json
import pathlib
import shutil

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent / "models"
LENGTH = 24  # of the text; the sliding windows and some trained lengths are shorter
NEW_IDS = 12
SMALL = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
)

# name: (model type, fields beside SMALL, type on disk, how config.json is rewritten)
MODELS = {
    "llama_llama3": (
        "llama",
        dict(rope_parameters=dict(
            rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=32)),
        torch.bfloat16, None),
    "llama_linear": (
        "llama",
        dict(attention_bias=True, mlp_bias=True, num_key_value_heads=4,
             rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=2.0)),
        torch.float16, "older"),
    "llama_dynamic": (
        "llama",
        dict(max_position_embeddings=16,
             rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0)),
        torch.bfloat16, "older"),
    "llama_yarn": (
        "llama",
        dict(rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                  original_max_position_embeddings=16)),
        torch.bfloat16, None),
    "mistral": ("mistral", dict(sliding_window=8), torch.float32, "older"),
    "qwen2": (
        "qwen2",
        dict(tie_word_embeddings=True, use_sliding_window=True, sliding_window=6, max_window_layers=1),
        torch.bfloat16, None),
    "qwen3": ("qwen3", dict(head_dim=16), torch.bfloat16, None),
}

GRADIENTS = [
    "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.bias",
    "model.layers.0.self_attn.q_norm.weight", "model.layers.1.self_attn.v_proj.weight",
    "model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.down_proj.weight",
    "model.layers.1.post_attention_layernorm.weight", "model.norm.weight", "lm_head.weight",
]
PROBED_POSITIONS = [0, 7, LENGTH - 1]


def attention_of(folder):
    """Plain attention; but with ALiBi, which transformers 5.23 adds twice in Falcon's, sdpa."""
    return "sdpa" if json.loads((folder / "config.json").read_text()).get("alibi") else "eager"


def fresh(folder):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention_of(folder)).eval()


def write_checkpoint(folder, model_type, fields, dtype, rewrite, seed):
    config = AutoConfig.for_model(model_type, **(SMALL | fields))
    model = AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, parameter in sorted(model.named_parameters()):
        # Wide enough that the likeliest next id is never nearly tied.
        values = torch.randn(parameter.shape, generator=generator) * (0.3 if parameter.dim() == 2 else 0.2)
        if name.endswith("norm.weight"):
            values += 1
        tensors[name] = values.to(dtype).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.loads(config.to_json_string(use_diff=False))
    keep = set(SMALL) | set(fields) | {
        "model_type", "head_dim", "hidden_act", "tie_word_embeddings", "rope_parameters", "layer_types"}
    text = {key: value for key, value in text.items() if key in keep}
    if rewrite == "older":
        rope = text.pop("rope_parameters")
        text["rope_theta"] = rope.pop("rope_theta")
        kind = rope.pop("rope_type")
        text["rope_scaling"] = None if kind == "default" else dict(type=kind, **rope)
        text.pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")


def greedy(folder, rows):
    """Each step's likeliest id, for rows of different lengths padded on the left."""
    model = fresh(folder)
    longest = max(map(len, rows))
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    past, out = None, [[] for _ in rows]
    with torch.no_grad():
        for _ in range(NEW_IDS):
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1]:]
            step = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=past,
                         use_cache=True)
            past = step.past_key_values
            best = step.logits[:, -1].topk(2)
            gap = (best.values[:, 0] - best.values[:, 1]).min().item()
            assert gap > 1e-3, f"nearly tied: {gap}"
            for row, chosen in zip(out, best.indices[:, 0].tolist()):
                row.append(chosen)
            ids = best.indices[:, :1]
            mask = torch.cat([mask, torch.ones_like(ids)], 1)
    return out


def expected(folder, seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    ids = torch.randint(3, SMALL["vocab_size"], (2, LENGTH), generator=generator)
    model = fresh(folder)
    out = model(input_ids=ids, labels=ids)
    out.loss.backward()
    parameters = dict(model.named_parameters())
    gradients = {
        name: dict(norm=parameters[name].grad.norm().item(), first=parameters[name].grad.flatten()[:6].tolist())
        for name in GRADIENTS if name in parameters
    }
    rows = ids.tolist()
    # Each row of the batch by itself: in a padded batch transformers' dynamic frequencies follow the
    # longest row.
    batch = [rows[0][:17], rows[1][:11]]
    return dict(
        transformers=transformers.__version__,
        ids=rows,
        loss=out.loss.item(),
        positions=PROBED_POSITIONS,
        logits=[out.logits[1, p].tolist() for p in PROBED_POSITIONS],
        gradients=gradients,
        greedy=greedy(folder, [rows[0]])[0],
        batch=batch,
        batch_greedy=[greedy(folder, [row])[0] for row in batch],
    )


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    for seed, (name, (model_type, fields, dtype, rewrite)) in enumerate(MODELS.items()):
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_checkpoint(folder, model_type, fields, dtype, rewrite, seed)
        (folder / "expected.json").write_text(json.dumps(expected(folder, seed)) + "\n")
        print(name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main()
