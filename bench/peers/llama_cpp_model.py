"""Writes a Llama shape with random weights as a GGUF file, for llama.cpp: CONFIG is a config.json.

    python llama_cpp_model.py random.gguf [CONFIG]
    llama-quantize random.gguf q4.gguf Q4_0 2
    llama-bench -m q4.gguf -t 2 -p 64 -n 32
"""

import json
import pathlib
import sys

import gguf
import numpy as np

SHAPE = pathlib.Path(__file__).parent.parent / "shapes/llama_1b/config.json"


def main(path, config=SHAPE):
    shape = json.loads(pathlib.Path(config).read_text(encoding="utf-8"))
    if shape["model_type"] != "llama":
        sys.exit(f"{config}: model_type: expected llama, found {shape['model_type']}")
    hidden, inner, vocabulary = shape["hidden_size"], shape["intermediate_size"], shape["vocab_size"]
    heads, key_value_heads = shape["num_attention_heads"], shape["num_key_value_heads"]
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_context_length(shape["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_value_heads)
    writer.add_layer_norm_rms_eps(shape["rms_norm_eps"])
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    # llama-bench feeds numbers, but a file without a vocabulary is refused.
    special = [b"<unk>", b"<s>", b"</s>"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(special + [b"t%d" % i for i in range(len(special), vocabulary)])
    writer.add_token_scores([0.0] * vocabulary)
    kinds = gguf.TokenType
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.NORMAL] * (vocabulary - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def matrix(name, rows, columns):
        values = random.standard_normal((rows, columns), dtype=np.float32) * 0.02
        writer.add_tensor(name, values.astype(np.float16))

    def ones(name):
        writer.add_tensor(name, np.ones(hidden, dtype=np.float32))

    key_value = hidden // heads * key_value_heads
    matrix("token_embd.weight", vocabulary, hidden)
    ones("output_norm.weight")
    matrix("output.weight", vocabulary, hidden)
    for layer in range(shape["num_hidden_layers"]):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        ones(block + "ffn_norm.weight")
        matrix(block + "attn_q.weight", hidden, hidden)
        matrix(block + "attn_k.weight", key_value, hidden)
        matrix(block + "attn_v.weight", key_value, hidden)
        matrix(block + "attn_output.weight", hidden, hidden)
        matrix(block + "ffn_gate.weight", inner, hidden)
        matrix(block + "ffn_up.weight", inner, hidden)
        matrix(block + "ffn_down.weight", hidden, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
