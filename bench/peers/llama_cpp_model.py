"""Writes the 1.1 B Llama shape of bench/model/llama_1b.h with random weights as a GGUF file, for llama.cpp.

    python llama_cpp_model.py random.gguf
    llama-quantize random.gguf q4.gguf Q4_0 2
    llama-bench -m q4.gguf -t 2 -p 64 -n 32
"""

import sys

import gguf
import numpy as np

HIDDEN, INNER, LAYERS, HEADS, KEY_VALUE_HEADS, VOCABULARY = 2048, 5632, 22, 32, 4, 32000


def main(path):
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    # llama-bench feeds numbers, but a file without a vocabulary is refused.
    special = [b"<unk>", b"<s>", b"</s>"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(special + [b"t%d" % i for i in range(len(special), VOCABULARY)])
    writer.add_token_scores([0.0] * VOCABULARY)
    kinds = gguf.TokenType
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.NORMAL] * (VOCABULARY - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def matrix(name, rows, columns):
        values = random.standard_normal((rows, columns), dtype=np.float32) * 0.02
        writer.add_tensor(name, values.astype(np.float16))

    def ones(name):
        writer.add_tensor(name, np.ones(HIDDEN, dtype=np.float32))

    key_value = HIDDEN // HEADS * KEY_VALUE_HEADS
    matrix("token_embd.weight", VOCABULARY, HIDDEN)
    ones("output_norm.weight")
    matrix("output.weight", VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        ones(block + "ffn_norm.weight")
        matrix(block + "attn_q.weight", HIDDEN, HIDDEN)
        matrix(block + "attn_k.weight", key_value, HIDDEN)
        matrix(block + "attn_v.weight", key_value, HIDDEN)
        matrix(block + "attn_output.weight", HIDDEN, HIDDEN)
        matrix(block + "ffn_gate.weight", INNER, HIDDEN)
        matrix(block + "ffn_up.weight", INNER, HIDDEN)
        matrix(block + "ffn_down.weight", HIDDEN, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
