"""The tiny checkpoints that make_families.py writes, a row each.

config.json holds what a row's `fields` say and nothing else, so a reader meets the defaults of transformers, and
older spellings of fields where the row has them. `spelling` is how tensors are named on disk:
  published  as save_pretrained writes them, which is as the family's models are published
  memory     as transformers names its parameters, with fused 3-D experts
  bare       published, without the prefix of the base model
`matters` lists changes of fields that must change the logits: a reader that ignores such a field fails.
`targets` are the modules of the adapter, `shares` names the row whose weights and ids are used.
"""

import dataclasses

BASIC = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ATTENTION = LLAMA[:4]
NEOX = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


@dataclasses.dataclass
class Family:
    model_type: str
    fields: dict
    targets: list
    spelling: str = "published"
    matters: list = dataclasses.field(default_factory=list)
    experts: list = None  # the second adapter's parameters
    shares: str = None


def basic(*without, **fields):
    return {name: value for name, value in (BASIC | fields).items() if name not in without}


GEMMA3_TEXT = basic(
    model_type="gemma3_text", num_hidden_layers=3, head_dim=16, query_pre_attn_scalar=20, sliding_window=6,
    layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=20000.0, factor=4.0),
                         sliding_attention=dict(rope_type="default", rope_theta=300.0)))
GEMMA3 = dict(
    text_config=GEMMA3_TEXT, mm_tokens_per_image=1, image_token_index=63, boi_token_index=62, eoi_token_index=61,
    vision_config=dict(model_type="siglip_vision_model", hidden_size=4, intermediate_size=4, num_hidden_layers=1,
                       num_attention_heads=1, image_size=4, patch_size=4, vision_use_head=False))
FALCON = basic("intermediate_size", "num_key_value_heads")
NEOX_FIELDS = basic("num_key_value_heads")
GPT2 = dict(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
OPT = dict(vocab_size=64, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
           max_position_embeddings=64, bos_token_id=2, eos_token_id=2, pad_token_id=1)
MIXTRAL = basic(num_local_experts=4, num_experts_per_tok=2, intermediate_size=24, sliding_window=9)
QWEN2_MOE = basic(
    num_hidden_layers=3, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
    shared_expert_intermediate_size=24, mlp_only_layers=[1], use_sliding_window=True, sliding_window=6)

FAMILIES = {
    "gemma2": Family(
        "gemma2",
        basic(head_dim=16, query_pre_attn_scalar=24, sliding_window=6, attn_logit_softcapping=4.0,
              final_logit_softcapping=5.0, rope_theta=5000.0),
        ["q_proj", "v_proj"],
        matters=[dict(query_pre_attn_scalar=16), dict(sliding_window=64), dict(attn_logit_softcapping=None),
                 dict(final_logit_softcapping=None), dict(layer_types=["full_attention", "sliding_attention"]),
                 dict(rope_theta=10000.0), dict(hidden_activation="silu")]),
    "gemma3_text": Family(
        "gemma3_text",
        basic(num_hidden_layers=3, head_dim=16, query_pre_attn_scalar=20, sliding_window=6,
              sliding_window_pattern=2, rope_theta=20000.0, rope_local_base_freq=300.0,
              rope_scaling=dict(rope_type="linear", factor=4.0), attn_logit_softcapping=1.0,
              final_logit_softcapping=5.0, tie_word_embeddings=False),
        LLAMA,
        matters=[dict(query_pre_attn_scalar=16), dict(sliding_window=64), dict(final_logit_softcapping=None),
                 dict(sliding_window_pattern=3), dict(rope_theta=10000.0), dict(rope_local_base_freq=10000.0),
                 dict(rope_scaling=None)]),
    "gemma3": Family(
        "gemma3", GEMMA3, r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"),
    "gemma3_nested": Family(
        "gemma3", GEMMA3 | dict(tie_word_embeddings=False), r".*language_model.*\.(q_proj|v_proj)",
        spelling="memory"),
    "phi": Family(
        "phi", basic("num_key_value_heads", partial_rotary_factor=0.5, rope_theta=500.0),
        ["q_proj", "v_proj", "fc1", "fc2"],
        matters=[dict(partial_rotary_factor=1.0), dict(hidden_act="relu"), dict(rope_theta=10000.0)]),
    "phi_normed": Family(
        "phi", basic(qk_layernorm=True, hidden_act="gelu", rope_parameters=dict(
            rope_type="default", rope_theta=500.0, partial_rotary_factor=0.75)),
        ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"],
        matters=[dict(hidden_act="gelu_new")]),
    "phi3": Family(
        "phi3",
        basic(original_max_position_embeddings=12, rope_theta=2000.0, rope_scaling=dict(
            type="longrope", short_factor=[1.0, 1.1, 1.3, 1.4], long_factor=[1.2, 2.0, 3.0, 5.0])),
        ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
        matters=[dict(original_max_position_embeddings=64), dict(max_position_embeddings=64)]),
    "phi3_short": Family(
        "phi3",
        basic(num_attention_heads=2, num_key_value_heads=1, original_max_position_embeddings=64, sliding_window=7,
              tie_word_embeddings=True, partial_rotary_factor=0.75, rope_parameters=dict(
                  rope_type="longrope", rope_theta=2000.0, short_factor=[1.0, 1.1, 1.3, 1.4, 1.6, 2.0],
                  long_factor=[1.2, 2.0, 3.0, 5.0, 6.0, 8.0])),
        ["qkv_proj", "gate_up_proj"],
        matters=[dict(original_max_position_embeddings=12), dict(max_position_embeddings=64),
                 dict(sliding_window=None)]),
    "falcon": Family("falcon", FALCON | dict(rope_theta=500.0), ["query_key_value"],
                     matters=[dict(rope_theta=10000.0), dict(activation="gelu_new")]),
    "falcon_new": Family(
        "falcon",
        FALCON | dict(new_decoder_architecture=True, num_kv_heads=2, bias=True, tie_word_embeddings=False,
                      multi_query=False, parallel_attn=True, ffn_hidden_size=48),
        NEOX),
    "falcon_new_one_norm": Family(
        "falcon",
        FALCON | dict(new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1, ffn_hidden_size=48,
                      activation="gelu_pytorch_tanh", rope_parameters=dict(rope_type="default", rope_theta=500.0)),
        NEOX),
    "falcon_rw": Family(
        "falcon",
        FALCON | dict(hidden_size=48, num_attention_heads=6, alibi=True, multi_query=False, parallel_attn=False,
                      bias=True, ffn_hidden_size=64),
        NEOX, matters=[dict(alibi=False)]),
    "gpt_neox": Family(
        "gpt_neox", NEOX_FIELDS | dict(rotary_pct=0.5, rotary_emb_base=500),
        NEOX, matters=[dict(rotary_pct=0.25), dict(rotary_emb_base=10000), dict(use_parallel_residual=False)]),
    "gpt_neox_sequential": Family(
        "gpt_neox",
        NEOX_FIELDS | dict(use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new"),
        ["query_key_value"], spelling="memory", matters=[dict(rotary_pct=1.0)]),
    "gpt2": Family(
        "gpt2", GPT2 | dict(scale_attn_by_inverse_layer_idx=True), ["c_attn"],
        matters=[dict(scale_attn_by_inverse_layer_idx=False), dict(activation_function="relu")]),
    "gpt2_bare": Family(
        "gpt2", GPT2 | dict(n_inner=48, scale_attn_weights=False, tie_word_embeddings=False),
        ["c_attn", "c_proj", "c_fc"], spelling="bare", matters=[dict(scale_attn_weights=True)]),
    "opt": Family("opt", OPT, ["q_proj", "v_proj"], matters=[dict(activation_function="gelu")]),
    "opt_350m": Family(
        "opt", OPT | dict(do_layer_norm_before=False, word_embed_proj_dim=16, activation_function="gelu"),
        ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"], spelling="bare",
        matters=[dict(activation_function="relu")]),
    "olmo2": Family("olmo2", basic(rope_theta=500.0), LLAMA, matters=[dict(rope_theta=10000.0)]),
    "granite": Family(
        "granite",
        basic(embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.5, logits_scaling=1.5,
              attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_theta=500.0),
        LLAMA,
        matters=[dict(embedding_multiplier=1.0), dict(attention_multiplier=0.35), dict(residual_multiplier=1.0),
                 dict(logits_scaling=1.0)]),
    "smollm3": Family(
        "smollm3",
        basic(num_hidden_layers=3, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=6),
        LLAMA,
        matters=[dict(no_rope_layers=[0, 1, 1]), dict(use_sliding_window=False), dict(rope_theta=10000.0)]),
    "starcoder2": Family(
        "starcoder2", basic(sliding_window=7, rope_theta=500.0),
        ["q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"],
        matters=[dict(sliding_window=None), dict(rope_theta=10000.0), dict(hidden_act="relu")]),
    "stablelm": Family(
        "stablelm", basic(num_key_value_heads=4, use_qkv_bias=True, rope_theta=500),
        LLAMA, matters=[dict(partial_rotary_factor=1.0)]),
    "stablelm_parallel": Family(
        "stablelm",
        basic(use_parallel_residual=True, qk_layernorm=True, partial_rotary_factor=0.5, rope_theta=500),
        LLAMA, matters=[dict(partial_rotary_factor=0.25)]),
    "mixtral": Family("mixtral", MIXTRAL, ATTENTION, experts=EXPERTS,
                      matters=[dict(num_experts_per_tok=1), dict(sliding_window=None), dict(rope_theta=10000.0)]),
    "mixtral_fused": Family("mixtral", MIXTRAL, ["q_proj", "v_proj"], "memory", experts=EXPERTS[1:],
                            shares="mixtral"),
    "qwen2_moe": Family(
        "qwen2_moe", QWEN2_MOE, ATTENTION + ["shared_expert.down_proj"], experts=EXPERTS,
        matters=[dict(norm_topk_prob=True), dict(use_sliding_window=False), dict(num_experts_per_tok=3)]),
    "qwen2_moe_fused": Family("qwen2_moe", QWEN2_MOE, ["q_proj", "v_proj"], "memory", experts=EXPERTS,
                              shares="qwen2_moe"),
    "qwen3_moe": Family(
        "qwen3_moe",
        basic(num_hidden_layers=3, head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
              decoder_sparse_step=2, norm_topk_prob=True),
        ATTENTION, experts=EXPERTS, matters=[dict(norm_topk_prob=False)]),
    "qwen3_moe_fused": Family(
        "qwen3_moe",
        basic(num_experts=6, num_experts_per_tok=3, moe_intermediate_size=16, use_sliding_window=True,
              sliding_window=6, attention_bias=True, tie_word_embeddings=True),
        ATTENTION, "memory", experts=EXPERTS[:1],
        matters=[dict(norm_topk_prob=True), dict(use_sliding_window=False), dict(num_experts_per_tok=2)]),
}

# Adapters for the checkpoints of make_models.py.
OLDER_ADAPTERS = {
    "llama_llama3": ["q_proj", "v_proj"],
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
}
