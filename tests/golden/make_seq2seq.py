"""Writes the encoder-decoders of seq2seq.py below tests/golden/seq2seq, and what transformers and PEFT make of them in
f32.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0
    python make_seq2seq.py [NAME ...]

Each folder holds config.json, model.safetensors and expected.json: ids of two sources, one shorter than the other, and
of their targets; logits of some positions, the loss plain and with smoothed labels, gradients of the plain one, and
greedy and searched targets; adapter and adapter.json: an adapter with random factors, and the same of it. Some have a
tokenizer, and what becomes of a text; of mBART's in languages.
"""

import copy
import json
import pathlib
import shutil
import sys
import tempfile

import peft
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.trainer_pt_utils import LabelSmoother

import make_families
from seq2seq import SEQ2SEQ

HERE = pathlib.Path(__file__).parent / "seq2seq"
SOURCES, TARGETS = [17, 11], [9, 6]
NEW_TOKENS = 12
SMOOTHING = 0.1
LEAST_CHANGE = 5e-4
LEAST_GAP = 1e-3  # between the likeliest next ids
RANK, ALPHA = 4, 6
TEXT = "ba der ku lo mi nor fa ge"
WITH_TEXT = ("bart", "t5")  # have a tokenizer
WITH_LANGUAGES = dict(mbart="MBartTokenizer", mbart50="MBart50Tokenizer")
LANGUAGES = [("en_XX", "ro_RO"), ("de_DE", "fr_XX"), (None, None)]
TARGET = "mi nor ba"


def fresh(folder, row, config=None):
    """Plain attention, in f32."""
    options = dict(dtype=torch.float32, attn_implementation="eager") | (dict(config=config) if config else {})
    return getattr(transformers, row.architecture).from_pretrained(folder, **options).eval()


def inputs_of(seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    return [dict(ids=torch.randint(3, 60, (source,), generator=generator),
                 labels=torch.randint(3, 60, (target,), generator=generator))
            for source, target in zip(SOURCES, TARGETS, strict=True)]


def padded(rows, name, value):
    return torch.nn.utils.rnn.pad_sequence([own[name] for own in rows], batch_first=True, padding_value=value)


def run(model, rows):
    """What the model says of the padded batch."""
    mask = padded([dict(ids=torch.ones_like(own["ids"])) for own in rows], "ids", 0)
    return model(input_ids=padded(rows, "ids", model.config.pad_token_id), attention_mask=mask,
                 labels=padded(rows, "labels", -100))


def probed(out):
    """The first, a middle and the last position of each row."""
    return [[logits[p].tolist() for p in (0, length // 2, length - 1)]
            for logits, length in zip(out.logits, TARGETS, strict=True)]


def smoothed(out, rows):
    return LabelSmoother(epsilon=SMOOTHING)(dict(logits=out.logits), padded(rows, "labels", -100)).item()


def randomize(model, seed):
    """Sinusoids stay what they are."""
    kept = {name: value.detach().clone() for name, value in model.named_parameters() if not value.requires_grad}
    make_families.randomize(model, seed)
    with torch.no_grad():
        for name, value in kept.items():
            model.get_parameter(name).copy_(value)
        for _, buffer in sorted(model.named_buffers()):
            if buffer.shape == (1, model.config.vocab_size):
                buffer.copy_(torch.randn(buffer.shape, generator=torch.Generator().manual_seed(seed + 7)) * 0.2)
    return model


def named_as_on_disk(model, row):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = load_file(pathlib.Path(folder) / "model.safetensors")
    tensors = {name: value for name, value in tensors.items()
               if row.model_type != "pegasus" or "embed_positions" not in name}
    if row.spelling == "bare":
        tensors = {name.removeprefix("model."): value for name, value in tensors.items() if name != "final_logits_bias"}
    return tensors


def trained(model, row):
    return {name: value for name, value in named_as_on_disk(model, row).items() if name != "final_logits_bias"}


def write_checkpoint(folder, row, seed):
    config = AutoConfig.for_model(row.model_type, **copy.deepcopy(row.fields))
    model = randomize(getattr(transformers, row.architecture)(config), seed)
    if row.fields.get("tie_word_embeddings") is False:
        generator = torch.Generator().manual_seed(seed + 9)
        model.lm_head.weight = torch.nn.Parameter(torch.randn(model.shared.weight.shape, generator=generator) * 0.3)
    tensors = {name: value.to(torch.bfloat16).contiguous() for name, value in named_as_on_disk(model, row).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    architecture = row.architecture
    if row.spelling == "bare":
        architecture = architecture.replace("ForConditionalGeneration", "Model")
    text = dict(architectures=[architecture], model_type=row.model_type, dtype="bfloat16", **row.fields)
    (folder / "config.json").write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")
    if row.generation:
        (folder / "generation_config.json").write_text(json.dumps(row.generation, indent=1, sort_keys=True) + "\n")


def greedy(model, rows):
    """Of each source by itself, without the token that begins it; no choice is nearly tied."""
    out = []
    for own in rows:
        made = model.generate(input_ids=own["ids"][None], num_beams=1, do_sample=False, max_new_tokens=NEW_TOKENS,
                              return_dict_in_generate=True, output_logits=True)
        for logits in made.logits:
            best = logits[0].topk(2).values
            assert best[0] - best[1] > LEAST_GAP, "nearly tied"
        out.append(made.sequences[0, 1:].tolist())
    return out


def searched(model, rows):
    """The two best of each source by beam search, without the token that begins them and what fills them up."""
    out = []
    for own in rows:
        made = model.generate(own["ids"][None], num_beams=3, num_return_sequences=2, no_repeat_ngram_size=2,
                              do_sample=False, max_new_tokens=NEW_TOKENS, return_dict_in_generate=True,
                              output_scores=True)
        out.append(dict(ids=made.sequences[:, 1:].tolist(), scores=made.sequences_scores.tolist()))
    return out


def write_tokenizer(folder, row):
    """One word a token, so that the program can be held to a text: its ids are those of the whole vocabulary."""
    special = ["<s>", "<pad>", "</s>"] if row.model_type == "bart" else ["<pad>", "</s>", "<s>"]
    size = row.fields["vocab_size"]
    words = special + ["<unk>"] + [a + b for a in "bdfgklmn" for b in ("a", "e", "i", "o", "u", "ar", "er", "or")]
    inner = tokenizers.Tokenizer(tokenizers.models.WordPiece(
        {word: i for i, word in enumerate(words[:size])}, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    inner.decoder = tokenizers.decoders.WordPiece()
    before = "<s> " if row.model_type == "bart" else ""
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{before}$A </s>", pair=f"{before}$A </s> {'</s> ' if before else ''}$B </s>",
        special_tokens=[(name, special.index(name)) for name in ("<s>", "</s>")])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>",
                                                     pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    return tokenizer


def text_of(folder, row, model):
    """What the model makes of a text."""
    tokenizer = write_tokenizer(folder, row)
    source = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    made = model.generate(source, num_beams=1, do_sample=False, max_new_tokens=NEW_TOKENS)
    return dict(prompt_ids=source[0].tolist(), text=tokenizer.decode(made[0], skip_special_tokens=True))


def write_languages(folder, row, name):
    """A unigram vocabulary with the codes of all languages; `name`: of the tokenizer's class."""
    module = sys.modules[getattr(transformers, name).__module__]
    words = [a + b for a in "bdfgklmn" for b in ("a", "e", "i", "o", "u", "ar", "er", "or")]
    words = sorted(words, key=lambda word: word not in (TEXT + " " + TARGET).split())
    codes = module.FAIRSEQ_LANGUAGE_CODES
    room = row.fields["vocab_size"] - 4 - len(codes) - 1
    pieces = ["<s>", "<pad>", "</s>", "<unk>"] + ["▁" + word for word in words[:room]] + codes + ["<mask>"]
    tokenizer = getattr(transformers, name)(vocab=[(piece, -float(i)) for i, piece in enumerate(pieces)])
    tokenizer.save_pretrained(folder)


def languages_of(folder, row, model, name):
    """What the model makes of a text in a language, and a target in another as it is learned."""
    out = []
    for source, target in LANGUAGES:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        assert type(tokenizer).__name__ == name
        options = {}
        if source:
            tokenizer.src_lang, tokenizer.tgt_lang = source, target
            code = tokenizer.convert_tokens_to_ids(target)
            options = {"forced_bos_token_id" if name == "MBart50Tokenizer" else "decoder_start_token_id": code}
        ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
        made = model.generate(ids, num_beams=1, do_sample=False, max_new_tokens=NEW_TOKENS, **options)
        out.append(dict(source=source or "", target=target or "", ids=ids[0].tolist(), made=made[0, 1:].tolist(),
                        labels=tokenizer(text_target=TARGET)["input_ids"]))
    return dict(text=TEXT, summary=TARGET, rows=out)


def check_that_fields_matter(folder, row, rows, logits):
    for change in row.matters:
        config = AutoConfig.for_model(row.model_type, **(copy.deepcopy(row.fields) | change))
        with torch.no_grad():
            found = run(fresh(folder, row, config), rows).logits
        difference = (found - logits).abs().max().item()
        assert difference > LEAST_CHANGE, f"{folder.name}: {change} changes {difference} only"


def said_and_loss(out, rows):
    return dict(said=probed(out), loss=out.loss.item(), smoothed=smoothed(out, rows))


def write_adapter(base, row, rows, seed):
    folder = base / "adapter"
    model = peft.get_peft_model(fresh(base, row), peft.LoraConfig(
        task_type="SEQ_2_SEQ_LM", r=RANK, lora_alpha=ALPHA, target_modules=row.targets)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    model.save_pretrained(folder)
    make_families.make_adapters.tidy(folder)
    saved = load_file(folder / "adapter_model.safetensors")
    out = run(model, rows)
    model.zero_grad()
    out.loss.backward()
    values = dict(peft=peft.__version__, **said_and_loss(out, rows), gradients={})
    for name, parameter in model.named_parameters():
        name = name.replace(".default", "")
        if name in saved and parameter.requires_grad:
            values["gradients"][name] = dict(norm=parameter.grad.norm().item(),
                                             first=parameter.grad.flatten()[:6].tolist())
    factors = {name for name in saved if ".base_layer." not in name}
    assert set(values["gradients"]) == factors, factors ^ set(values["gradients"])
    again = peft.PeftModel.from_pretrained(fresh(base, row), folder).eval()
    assert abs(run(again, rows).loss.item() - out.loss.item()) < 1e-6
    values["greedy"] = greedy(model, rows)
    (base / "adapter.json").write_text(json.dumps(make_families.digits(values)) + "\n")


def write(name, row, first_seed):
    folder = HERE / name
    for seed in range(first_seed, first_seed + 50):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_checkpoint(folder, row, seed)
        rows = inputs_of(seed)
        model = fresh(folder, row)
        out = run(model, rows)
        out.loss.backward()
        values = dict(transformers=transformers.__version__,
                      **{key: [own[key].tolist() for own in rows] for key in ("ids", "labels")},
                      **said_and_loss(out, rows),
                      gradients=make_families.gradients(model, lambda own: trained(own, row)))
        try:
            values["greedy"] = greedy(model, rows)
            values["beams"] = searched(model, rows)
            if name in WITH_TEXT:
                values["of_text"] = text_of(folder, row, model)
            if name in WITH_LANGUAGES:
                write_languages(folder, row, WITH_LANGUAGES[name])
                values["languages"] = languages_of(folder, row, model, WITH_LANGUAGES[name])
            if row.targets:
                write_adapter(folder, row, rows, 5000 + seed)
        except AssertionError as error:
            if str(error) != "nearly tied":
                raise
            continue
        break
    (folder / "expected.json").write_text(json.dumps(make_families.digits(values)) + "\n")
    check_that_fields_matter(folder, row, rows, out.logits.detach())
    print(name, seed, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), "bytes", values["greedy"])


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    assert peft.__version__ == "0.21.2", peft.__version__
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    for number, (name, row) in enumerate(SEQ2SEQ.items()):
        if not sys.argv[1:] or name in sys.argv[1:]:
            write(name, row, 100 * number)


if __name__ == "__main__":
    main()
