"""Trains small tokenizers of each kind and writes what the reference makes of hard lines.

Needs tokenizers==0.23.3, sentencepiece==0.2.3 and, for folders without tokenizer.json,
transformers==5.23.0 with protobuf==7.36.2.

    python tests/golden/make_tokenizers.py

Writes tests/golden/tokenizers/KIND/{tokenizer.json or tokenizer.model, tokenizer_config.json,
expected.jsonl}: for each line {"text", "ids", "plain" (no special tokens added), "decoded", "skipped"
(special tokens left out), "offsets" (begin and end of each id in characters, one behind the other)};
plain, decoded and skipped only where they differ from what is obvious: plain from ids, decoded from
text, skipped from decoded. For encoders encodings.jsonl too: pairs of texts with types, truncated.
"""

import io
import json
import random
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

ROOT = Path(__file__).parent / "tokenizers"
VOCABULARY = 480
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

SUBJECTS = "the old farmer|a small fox|her brother|Anna|the captain|nobody|every child|the wind".split("|")
VERBS = "carried|found|didn't see|wanted to sell|couldn't lift|has counted|forgot|I'll paint".split("|")
OBJECTS = "12 apples|a boat|the naïve map|3,450 coins|two houses|some café chairs|it|the river".split("|")
PLACES = "near the bridge|in 1998|\tbehind the mill|on Monday|under the stars|über Nacht|by the sea|".split("|")


def corpus():
    choose = random.Random(7).choice
    return [f"{choose(SUBJECTS)} {choose(VERBS)} {choose(OBJECTS)} {choose(PLACES)}.".replace("  ", " ")
            for _ in range(1500)] + ["日本語のテキスト", "Привет, мир", "emoji 👩‍👩‍👧 ok", "a    b\n\n  c"] * 8


LINES = [
    "", " ", "  ", "     ", "\n", "\n\n\n", "\t\t", "\r\n", " \n ", "a\r\nb\r\n\r\nc", "Hello world", " leading",
    "trailing  ", "two  spaces", "tabs\tand\n\nnewlines  \n  x", "   indented\n      more",
    "12345 67,890.12 3\u00bd \u0663\u0664 \u2167 1234567890123", "it's IT'S we'll WE'LL can't \u2019s 'S 'tis",
    "na\u00efve caf\u00e9", "e\u0301 o\u0308\u0323 \u1e69 s\u0323\u0307 s\u0307\u0323",
    "\u0958 \u2126 \u212b \ufb01 \u00bd \uff21", "\u1112\u1161\u11ab \ud55c\uae00 \uac00\u11a8",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3001\u6f22\u5b57\u3002 \u4e2d\u6587",
    "emoji \U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 ok \U0001f680\U0001f680 \U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea "
    "\U0001f44d\U0001f3fd \u2764\ufe0f",
    "\u0420\u0443\u0441\u0441\u043a\u0438\u0439 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u200f\u202babc\u202c",
    "\u0000\u0001\u0002 \u007f\u0080\u009f \u0085x", "a\u0000b", "\u00a0nbsp\u00a0\u00a0\u2003em\u3000wide\u200bzero\u180emvs\u2028line",
    "\ufeffbom \ufffd \uffff \U0010ffff \ue000", "<s>", "<s> special </s>", "a<s>b", "  <s>  x  </s>  ", "</s></s> </s>",
    "<unk> <pad> <|endoftext|>", "x<|endoftext|>y", "<|endoftext|", "<|im_start|>user\nhi<|im_end|>\n", "<s <s>> <<s>>",
    "\u2581under \u2581\u2581 line\u2581", "<0x41><0x0A> <0xE2>", "the farmer's boat, 12 apples; (near the bridge)!?...",
    "Donaudampfschifffahrtsgesellschaftskapit\u00e4nsm\u00fctze" * 3, "a" * 70, "ab" * 60 + " " + "the" * 40, "!" * 50 + "\n\n",
    " " * 40 + "x", "x" + " " * 41, "\n" * 30 + " y", "mid[WORD]dle [WORD] x[WORD] [WORD]y _[WORD]", "left [LEFT] right [RIGHT]  both",
    "def f(x):\n    return x ** 2  # \u03c0\r\n\n\tif not x:\n\t\tpass", "https://example.org/a?b=c&d=%20e_f-g#h",
    "\U0001d54f\U0001d7d8 \u2460 \u32ff \u0e01\u0e33 \u0915\u094d\u0937\u093f", "\u0130stanbul \u1e9e \u03a3\u03c2 \u01c5",
    "caf\u00e9 \u00c0\u00c9 o\u0302\u0301\u0327", "$\u20ac\u00a3+<=>^`|~ \u00ab\u00bb\u2014\u2026", "x\u1885\u0345\u20dd",
]


def byte_level_trainer(special):
    return trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False,
                               initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(corpus(), byte_level_trainer(["<|endoftext|>"]))
    t.add_tokens([AddedToken("[WORD]", single_word=True), AddedToken("[LEFT]", lstrip=True),
                  AddedToken("[RIGHT]", rstrip=True, special=True)])
    return t, {"bos_token": "<|endoftext|>", "eos_token": {"content": "<|endoftext|>", "lstrip": False}}


def split_by(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = split_by(LLAMA3)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus(), byte_level_trainer([]))
    t.add_special_tokens(["<s>", "</s>", "<|endoftext|>"])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", t.token_to_id("<s>"))])])
    # A token that no merge reaches: ignore_merges finds it all the same.
    data = json.loads(t.to_str())
    data["model"]["merges"] = [m for m in data["model"]["merges"] if m != ["Ġth", "e"]]
    return Tokenizer.from_str(json.dumps(data)), {"bos_token": "<s>", "eos_token": "</s>"}


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = split_by(QWEN2)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(corpus(), byte_level_trainer([]))
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return t, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None}


def sentencepiece_style(normalizer, pre_tokenizer, special_normalized):
    """The vocabulary and merges of the SentencePiece model in tokenizer.json."""
    vocabulary, merges = pieces_and_merges()
    t = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer is not None:
        t.normalizer = normalizer
    if pre_tokenizer is not None:
        t.pre_tokenizer = pre_tokenizer
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    t.add_special_tokens([AddedToken(x, normalized=special_normalized, special=True) for x in ("<unk>", "<s>", "</s>")])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", 1)])
    return t, {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": "<unk>"}


def llama2():
    return sentencepiece_style(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None, False)


def llama2_normalized():
    return sentencepiece_style(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None, True)


def metaspace():
    return sentencepiece_style(None, pre_tokenizers.Metaspace("▁", "first", split=False), False)


def pieces():
    """An unusual mixture: lower case without accents, words, digits, punctuation, suffixes, unknowns."""
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
                                         normalizers.Strip(), normalizers.Replace(Regex(r"\s{2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split("x", "merged_with_next"),
        pre_tokenizers.Split(Regex(r"\w{1,9}+"), "contiguous", invert=True)])
    t.decoder = decoders.BPEDecoder("</w>")
    t.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=300, special_tokens=["[UNK]", "[CLS]", "[SEP]"], continuing_subword_prefix="##", end_of_word_suffix="</w>",
        limit_alphabet=60, show_progress=False))
    t.add_tokens([AddedToken("[WORD]", single_word=True, normalized=True)])
    t.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return t, {"eos_token": "[SEP]"}


def train_sentencepiece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, model_type="bpe", vocab_size=VOCABULARY, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.999,
        allow_whitespace_only_pieces=True, split_digits=True, user_defined_symbols=["[WORD]"], num_threads=1,
        minloglevel=2)
    return model.getvalue()


MODEL = train_sentencepiece()


def train_unigram(special, folder):
    """A unigram model with a few of the normalization rules of T5's, and one that takes a character away."""
    rules = Path(folder) / "rules.tsv"
    rows = [("FB01", "66 69"), ("FF21", "41"), ("A0", "20"), ("3000", "20"), ("9", "20"), ("A", "20"), ("D", "20"),
            ("65 301", "E9"), ("61 30A", "E5"), ("AD", ""), ("200B", ""), ("BD", "31 2044 32"), ("1D54F", "58"), ("32FF", "4EE4 548C"),
            ("2026", "2E 2E 2E"), ("1F", ""), ("85", "20")]
    rules.write_text("".join(f"{a}\t{b}\n" for a, b in rows))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, model_type="unigram", vocab_size=330, hard_vocab_limit=False, num_threads=1,
        normalization_rule_tsv=str(rules), character_coverage=0.995, minloglevel=2, **special)
    return model.getvalue()


def pieces_of(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [(processor.id_to_piece(i), processor.get_score(i)) for i in range(processor.get_piece_size())]


def character_map(model):
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model)
    return proto.normalizer_spec.precompiled_charsmap


SPECIAL = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}


def bert_tokenizer(processor, **normalizer):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=24))
    t.normalizer = normalizers.BertNormalizer(**normalizer)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.train_from_iterator(corpus(), trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], limit_alphabet=60, show_progress=False))
    t.post_processor = processor
    return t, SPECIAL


def bert():
    return bert_tokenizer(processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]))


def bert_cased():
    return bert_tokenizer(processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)), lowercase=False)


def roberta():
    t, _ = gpt2()
    t.add_special_tokens(["<s>", "</s>", "<pad>", AddedToken("<mask>", lstrip=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")))
    return t, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


def roberta_prefix():
    t, config = roberta()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B:1 </s>", special_tokens=[("<s>", t.token_to_id("<s>")), ("</s>", t.token_to_id("</s>"))])])
    return t, config


def many_pieces(known):
    """With those of the other model, at random scores: many ways to cut up a word."""
    score = random.Random(3).uniform
    return known + [(piece, score(-12, -3)) for piece in pieces_and_merges()[0] if piece not in dict(known)]


def unigram():
    t = Tokenizer(models.Unigram(many_pieces(pieces_of(T5_MODEL)), unk_id=2, byte_fallback=False))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(character_map(T5_MODEL)), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")
    t.decoder = decoders.Metaspace("▁", "always")
    t.add_special_tokens(["<pad>", "</s>", "<unk>", "<extra_id_0>"])
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return t, {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def unigram_bytes():
    vocabulary = pieces_of(T5_MODEL) + [(f"<0x{b:02X}>", -5.0) for b in range(256)]
    t = Tokenizer(models.Unigram(many_pieces(vocabulary), unk_id=2, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip(),
                                         normalizers.Replace(Regex(r"\s{2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace("▁", "first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return t, {"eos_token": "</s>"}


with tempfile.TemporaryDirectory() as scratch:
    T5_MODEL = train_unigram({"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}, scratch)
    XLM_ROBERTA_MODEL = train_unigram({"unk_id": 0, "bos_id": 1, "eos_id": 2}, scratch)
    DEBERTA_MODEL = train_unigram({"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]",
                                   "eos_piece": "[SEP]", "unk_piece": "[UNK]"}, scratch)


def pieces_and_merges():
    processor = sentencepiece.SentencePieceProcessor(model_proto=MODEL)
    vocabulary = {processor.id_to_piece(i): i for i in range(processor.get_piece_size())}
    merges = [(piece[:i], piece[i:]) for piece in vocabulary for i in range(1, len(piece))
              if piece[:i] in vocabulary and piece[i:] in vocabulary]
    return vocabulary, merges


def write_expected(folder, encode, decode, offsets=None):
    with open(folder / "expected.jsonl", "w", encoding="utf-8", newline="\n") as out:
        for text in LINES:
            ids, plain = encode(text, True), encode(text, False)
            decoded, skipped = decode(ids, False), decode(ids, True)
            row = {"text": text, "ids": ids}
            row |= {"plain": plain} if plain != ids else {}
            row |= {"decoded": decoded} if decoded != text else {}
            row |= {"skipped": skipped} if skipped != decoded else {}
            row |= {"offsets": [place for span in offsets(text) for place in span]} if offsets else {}
            out.write(json.dumps(row, ensure_ascii=True) + "\n")


QUESTION = "Who  found the caf\u00e9 chairs near the bridge in 1998?"
CONTEXT = "In 1998 the old farmer found 12 apples (near the bridge) under the stars. \u65e5\u672c\u8a9e nobody e\u0301 saw it!"
PAIRS = [(QUESTION, CONTEXT), (CONTEXT, QUESTION), ("Anna", ""), ("", "Anna forgot"), ("the wind", None), (CONTEXT, None)]
TRUNCATIONS = [None, ("longest_first", 24, 0, "right"), ("longest_first", 31, 3, "right"), ("only_second", 40, 7, "right"),
               ("only_first", 60, 4, "right"), ("longest_first", 20, 2, "left"), ("only_second", 36, 0, "left")]


def window_of(encoding, sequences):
    return {"ids": encoding.ids, "types": encoding.type_ids, "special": encoding.special_tokens_mask,
            "offsets": [place for span in encoding.offsets for place in span],
            **({"sequence": [-1 if i is None else i for i in encoding.sequence_ids]} if sequences else {})}


def write_encodings(folder, tokenizer, truncations=TRUNCATIONS):
    """tokenizer: of the tokenizers library. What it refuses is written as null."""
    sequences = tokenizer.post_processor is not None  # without one tokenizers loses them
    with open(folder / "encodings.jsonl", "w", encoding="utf-8", newline="\n") as out:
        for first, second in PAIRS:
            for truncation in truncations:
                tokenizer.no_truncation()
                row = {"first": first, "second": second}
                if truncation:
                    strategy, length, stride, direction = truncation
                    tokenizer.enable_truncation(length, stride=stride, strategy=strategy, direction=direction)
                    row["truncation"] = list(truncation)
                try:
                    encoding = tokenizer.encode(*[x for x in (first, second) if x is not None])
                    row["windows"] = [window_of(e, sequences) for e in [encoding, *encoding.overflowing]]
                except BaseException as error:  # also a panic
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    row["windows"] = None
                if truncation and row["windows"] and len(row["windows"]) == 1:
                    continue  # nothing was cut
                out.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")
    tokenizer.no_truncation()


def write_config(folder, config):
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def main():
    encoders = (bert, bert_cased, roberta, roberta_prefix, unigram, unigram_bytes)
    tracked = (*encoders, gpt2, qwen2, llama2_normalized, metaspace)
    for make in (gpt2, llama3, qwen2, llama2, llama2_normalized, metaspace, pieces, *encoders):
        folder = ROOT / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer, config = make()
        (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False,
                                                          separators=(",", ":")) + "\n", encoding="utf-8")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        write_config(folder, config)
        write_expected(folder, lambda text, special: tokenizer.encode(text, add_special_tokens=special).ids,
                       lambda ids, skip: tokenizer.decode(ids, skip_special_tokens=skip),
                       (lambda text: tokenizer.encode(text).offsets) if make in tracked else None)
        if make in encoders:
            write_encodings(folder, tokenizer)

    write_folders()
    from transformers import LlamaTokenizer
    for name, config in (("sentencepiece", {"add_bos_token": True, "add_eos_token": True}),
                         ("sentencepiece_legacy", {"add_bos_token": True, "legacy": True})):
        folder = ROOT / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.model").write_bytes(MODEL)
        write_config(folder, {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **config})
        slow = LlamaTokenizer.from_pretrained(folder)
        write_expected(folder, lambda text, special: slow(text, add_special_tokens=special)["input_ids"],
                       lambda ids, skip: slow.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False))

    write_declared(LlamaTokenizer)


# Folders without tokenizer.json, as transformers' classes read them.
def write_folders():
    from transformers import BertTokenizer, DebertaV2Tokenizer, T5Tokenizer, XLMRobertaTokenizer
    vocabulary = json.loads((ROOT / "bert" / "tokenizer.json").read_text())["model"]["vocab"]
    lines = "".join(token + "\n" for token, _ in sorted(vocabulary.items(), key=lambda item: item[1]))
    for name, kind, file, content in (("vocab_txt", BertTokenizer, "vocab.txt", lines.encode()),
                                      ("t5", T5Tokenizer, "spiece.model", T5_MODEL),
                                      ("deberta", DebertaV2Tokenizer, "spm.model", DEBERTA_MODEL),
                                      ("xlm_roberta", XLMRobertaTokenizer, "sentencepiece.bpe.model", XLM_ROBERTA_MODEL)):
        folder = ROOT / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
        config = {"tokenizer_class": kind.__name__, "extra_ids": 3} if name == "t5" else {"tokenizer_class": kind.__name__}
        write_config(folder, config)
        fast = kind.from_pretrained(folder, **({"extra_ids": 3} if name == "t5" else {}))
        write_expected(folder, lambda text, special: fast(text, add_special_tokens=special)["input_ids"],
                       lambda ids, skip: fast.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False),
                       lambda text: fast(text, return_offsets_mapping=True)["offset_mapping"])
        write_encodings(folder, fast._tokenizer, [None, ("only_second", 60, 7, "right")])


# Tokens that stand beside the main file only: the folder's files, written as they are.
NAMED = {"bos_token": "<s>", "eos_token": "</s>"}
TOKEN = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
DECLARED = {
    "declared": {"tokenizer_config.json": {
        "tokenizer_class": "PreTrainedTokenizerFast", **NAMED, "pad_token": "[PAD]", "image_token": "<image>",
        "additional_special_tokens": ["<|extra|>"], "add_bos_token": True, "add_eos_token": True,
        "added_tokens_decoder": {"900": {"content": "<|tool|>", **TOKEN},
                                 "800": {"content": "<|end|>", **TOKEN, "lstrip": True, "special": False}}}},
    "declared_legacy": {
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "<unk>"},
        "special_tokens_map.json": {"eos_token": "</s>", "mask_token": {"content": "[MASK]", **TOKEN, "lstrip": True},
                                    "extra_special_tokens": ["<|extra|>"]},
        "added_tokens.json": {"<|tool|>": 900, "[MASK]": 901, "<|end|>": 850}},
    "declared_sentencepiece": {
        "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", **NAMED, "unk_token": "<unk>"},
        "added_tokens.json": {"<|tool|>": 900, "<|end|>": 850}},
}
DECLARED_LINES = ["a<|tool|>b [PAD] c", "x <image><|extra|>", "one  <|end|> two", "say [MASK], no <|end|><|tool|>", "<s>hi</s>", "plain"]


def write_declared(sentencepiece_class):
    from transformers import PreTrainedTokenizerFast
    global LINES
    LINES = DECLARED_LINES
    for name, files in DECLARED.items():
        folder = ROOT / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_text(json.dumps(content, indent=1) + "\n")
        main_file = "tokenizer.model" if name.endswith("sentencepiece") else "tokenizer.json"
        source = ROOT / ("sentencepiece" if name.endswith("sentencepiece") else "llama2")
        (folder / main_file).write_bytes((source / main_file).read_bytes())
        kind = sentencepiece_class if name.endswith("sentencepiece") else PreTrainedTokenizerFast
        fast = kind.from_pretrained(folder)
        write_expected(folder, lambda text, special: fast(text, add_special_tokens=special)["input_ids"],
                       lambda ids, skip: fast.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False))
        (folder / "special.json").write_text(json.dumps(fast.special_tokens_map, indent=1) + "\n")


main()
