"""The tiny encoders that make_encoders.py writes, a row each.

config.json holds what a row's `fields` say and nothing else, so a reader meets the defaults of transformers.
`spelling` is how tensors are named on disk:
  published  as save_pretrained writes them
  older      with that prefix though it is a base model, its norms' weights as gamma and beta, and with heads that the
             model is not asked for
`matters` lists changes of fields that must change what the model says. `targets` are the modules of the adapter;
none: it has no adapter. `saved`: modules that PEFT does not save by itself. The last ones are encoder-decoders with an
encoder's head.
"""

import dataclasses

BASIC = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=40, pad_token_id=0)
BERT = BASIC | dict(type_vocab_size=2)
ROBERTA = BASIC | dict(type_vocab_size=1, pad_token_id=1)
DISTILBERT = dict(vocab_size=64, dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=40,
                  pad_token_id=0)
DEBERTA_V3 = BASIC | dict(
    type_vocab_size=0, relative_attention=True, position_buckets=8, max_relative_positions=-1,
    norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False)
MODERNBERT = BASIC | dict(num_hidden_layers=3, global_attn_every_n_layers=2, local_attention=8,
                          global_rope_theta=500.0, local_rope_theta=50.0)
BART = dict(vocab_size=64, d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=24, decoder_ffn_dim=32,
            encoder_attention_heads=4, decoder_attention_heads=2, max_position_embeddings=32, pad_token_id=1)
T5 = dict(vocab_size=64, d_model=16, d_kv=6, d_ff=24, num_layers=2, num_heads=4, decoder_start_token_id=0,
          relative_attention_num_buckets=8, relative_attention_max_distance=12, pad_token_id=0)
THREE = dict(id2label={"0": "no", "1": "maybe", "2": "yes"}, label2id=dict(no=0, maybe=1, yes=2))
ONE = dict(id2label={"0": "score"}, label2id=dict(score=0))


@dataclasses.dataclass
class Encoder:
    architecture: str
    model_type: str
    fields: dict
    targets: list = dataclasses.field(default_factory=list)
    spelling: str = "published"
    matters: list = dataclasses.field(default_factory=list)
    saved: list = dataclasses.field(default_factory=list)


ENCODERS = {
    "bert_sequence": Encoder(
        "BertForSequenceClassification", "bert", BERT | THREE, ["query", "dense"],
        matters=[dict(hidden_act="relu"), dict(layer_norm_eps=0.1)]),
    "bert_masked": Encoder("BertForMaskedLM", "bert", BERT | dict(hidden_act="gelu_new")),
    "bert_spans": Encoder("BertForQuestionAnswering", "bert", BERT, ["key", "value"]),
    "bert_states": Encoder("BertModel", "bert", BERT, ["query", "value"], spelling="older"),
    "roberta_sequence": Encoder(
        "RobertaForSequenceClassification", "roberta", ROBERTA | ONE, ["query", "value"],
        matters=[dict(pad_token_id=2)]),
    "roberta_masked": Encoder("RobertaForMaskedLM", "roberta", ROBERTA),
    "roberta_tokens": Encoder("RobertaForTokenClassification", "roberta", ROBERTA | THREE, ["query"]),
    "xlm_roberta_sequence": Encoder(
        "XLMRobertaForSequenceClassification", "xlm-roberta",
        ROBERTA | THREE | dict(problem_type="multi_label_classification"), ["dense"]),
    "distilbert_sequence": Encoder(
        "DistilBertForSequenceClassification", "distilbert", DISTILBERT, ["q_lin", "v_lin", "lin1"],
        matters=[dict(activation="relu")]),
    "distilbert_masked": Encoder("DistilBertForMaskedLM", "distilbert", DISTILBERT),
    "electra_sequence": Encoder(
        "ElectraForSequenceClassification", "electra", BERT | THREE | dict(embedding_size=16), ["query", "dense"]),
    "electra_masked": Encoder("ElectraForMaskedLM", "electra", BERT | dict(embedding_size=16)),
    "deberta_v3_sequence": Encoder(
        "DebertaV2ForSequenceClassification", "deberta-v2", DEBERTA_V3 | THREE, ["query_proj", "value_proj", "dense"],
        matters=[dict(position_buckets=4), dict(norm_rel_ebd="none"), dict(pos_att_type="c2p"),
                 dict(pooler_hidden_act="relu")]),
    "deberta_v3_masked": Encoder("DebertaV2ForMaskedLM", "deberta-v2", DEBERTA_V3 | dict(legacy=False)),
    "deberta_v2_spans": Encoder(
        "DebertaV2ForQuestionAnswering", "deberta-v2",
        BASIC | dict(type_vocab_size=2, embedding_size=16, relative_attention=True, max_relative_positions=6,
                     pos_att_type=["p2c"]), ["pos_query_proj", "key_proj"],
        matters=[dict(relative_attention=False)]),
    "modernbert_sequence": Encoder(
        "ModernBertForSequenceClassification", "modernbert",
        MODERNBERT | THREE | dict(classifier_pooling="mean"), ["Wqkv", "Wi"],
        matters=[dict(local_attention=40), dict(classifier_pooling="cls"), dict(global_rope_theta=160000.0),
                 dict(local_rope_theta=10000.0), dict(classifier_activation="relu")]),
    "modernbert_masked": Encoder("ModernBertForMaskedLM", "modernbert", MODERNBERT, spelling="published"),
    "modernbert_spans": Encoder("ModernBertForQuestionAnswering", "modernbert", MODERNBERT | dict(norm_bias=True),
                                ["Wo"]),
    "deberta_v2_convolution": Encoder(
        "DebertaV2ForSequenceClassification", "deberta-v2",
        DEBERTA_V3 | THREE | dict(conv_kernel_size=3, conv_act="gelu"), ["query_proj", "value_proj", "dense"],
        matters=[dict(conv_act="relu"), dict(layer_norm_eps=0.1)]),
    "deberta_v2_groups": Encoder(
        "DebertaV2ForTokenClassification", "deberta-v2",
        DEBERTA_V3 | THREE | dict(conv_kernel_size=5, conv_groups=2), ["key_proj"]),
    "bart_sequence": Encoder(
        "BartForSequenceClassification", "bart", BART | THREE | dict(eos_token_id=5), ["q_proj", "v_proj", "fc1"],
        matters=[dict(scale_embedding=True), dict(decoder_start_token_id=7)], saved=["classification_head"]),
    "bart_spans": Encoder("BartForQuestionAnswering", "bart", BART, ["k_proj", "out_proj"]),
    "mbart_sequence": Encoder("MBartForSequenceClassification", "mbart", BART | ONE),
    "t5_sequence": Encoder(
        "T5ForSequenceClassification", "t5", T5 | THREE, ["q", "v", "wi"],
        matters=[dict(feed_forward_proj="silu")], saved=["classification_head"]),
    "t5_spans": Encoder("T5ForQuestionAnswering", "t5", T5 | dict(feed_forward_proj="gated-gelu"), ["k", "wi_1"]),
    "t5_tokens": Encoder("T5ForTokenClassification", "t5", T5 | THREE, ["o"]),
    "t5_states": Encoder("T5EncoderModel", "t5", T5, ["q"]),
    "mt5_sequence": Encoder("MT5ForSequenceClassification", "mt5", T5 | THREE),
}
