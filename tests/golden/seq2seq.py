"""The tiny encoder-decoders that make_seq2seq.py writes, a row each.

config.json holds what a row's `fields` say and nothing else, so a reader meets the defaults of transformers.
`spelling` is how tensors are named on disk:
  published  as save_pretrained writes them
  bare       as a checkpoint of the model without its head has them, of whose class config.json speaks
mbart and mbart50 have a tokenizer with languages. `generation` is generation_config.json; empty: there is none. `matters` lists changes of fields that must change what
the model says. `targets` are the modules of the adapter; none: it has no adapter.
"""

import dataclasses

BART = dict(vocab_size=64, d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=24, decoder_ffn_dim=32,
            encoder_attention_heads=4, decoder_attention_heads=2, max_position_embeddings=32)
T5 = dict(vocab_size=64, d_model=16, d_kv=6, d_ff=24, num_layers=2, num_heads=4, decoder_start_token_id=0,
          relative_attention_num_buckets=8, relative_attention_max_distance=12)


@dataclasses.dataclass
class Seq2Seq:
    architecture: str
    model_type: str
    fields: dict
    targets: list = dataclasses.field(default_factory=list)
    spelling: str = "published"
    generation: dict = dataclasses.field(default_factory=dict)
    matters: list = dataclasses.field(default_factory=list)


SEQ2SEQ = {
    "bart": Seq2Seq(
        "BartForConditionalGeneration", "bart", BART | dict(scale_embedding=True), ["q_proj", "v_proj", "fc1"],
        generation=dict(decoder_start_token_id=2, bos_token_id=0, eos_token_id=2, pad_token_id=1,
                        forced_bos_token_id=0, forced_eos_token_id=2),
        matters=[dict(activation_function="relu"), dict(scale_embedding=False)]),
    "bart_bare": Seq2Seq("BartForConditionalGeneration", "bart", BART | dict(activation_function="gelu_new"),
                         spelling="bare", generation=dict(decoder_start_token_id=2, eos_token_id=2, pad_token_id=1)),
    "mbart": Seq2Seq(
        "MBartForConditionalGeneration", "mbart", BART | dict(encoder_layers=1), ["k_proj", "out_proj", "fc2"],
        generation=dict(decoder_start_token_id=7, bos_token_id=0, eos_token_id=2, pad_token_id=1,
                        forced_bos_token_id=9)),
    "pegasus": Seq2Seq(
        "PegasusForConditionalGeneration", "pegasus",
        BART | dict(scale_embedding=True, activation_function="relu", decoder_layers=1), ["q_proj", "k_proj"],
        generation=dict(decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, forced_eos_token_id=1)),
    "t5": Seq2Seq(
        "T5ForConditionalGeneration", "t5", T5, ["q", "k", "v", "o", "wi", "wo"],
        matters=[dict(relative_attention_max_distance=64), dict(feed_forward_proj="silu")]),
    "t5_gated": Seq2Seq(
        "T5ForConditionalGeneration", "t5",
        T5 | dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_decoder_layers=1),
        ["q", "v", "wi_0", "lm_head"], matters=[dict(tie_word_embeddings=True)]),
    "mt5": Seq2Seq("MT5ForConditionalGeneration", "mt5", T5 | dict(tie_word_embeddings=False), ["k", "wi_1"]),
    "mbart50": Seq2Seq(
        "MBartForConditionalGeneration", "mbart",
        BART | dict(vocab_size=96, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16),
        generation=dict(decoder_start_token_id=2, bos_token_id=0, eos_token_id=2, pad_token_id=1)),
}
