#pragma once
// The options of the stages that a recipe may set, each declared once (qloft/core/options.h).

#include <variant>

#include "qloft/core/options.h"
#include "qloft/core/text.h"
#include "qloft/generate/settings.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/evaluate.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/merge.h"
#include "qloft/pipeline/plan.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/pipeline/recover.h"
#include "qloft/pipeline/sensitivity.h"
#include "qloft/quant.h"

namespace qloft::pipeline {

inline constexpr const char* kChatTemplateHelp =
    "a .jinja file, or JSON with chat_template, in place of the model's";
inline constexpr const char* kDtypeHelp =
    "activations and dense weights: f32, bf16, or auto: bf16 where that is the model's own and the "
    "processor has units for it";
inline constexpr const char* kMatmulHelp =
    "products with weights: float, as --dtype says, int8, faster and coarser, or auto: float";
inline constexpr const char* kCacheTypeHelp =
    "keys and values of past positions: f32, bf16, int8 (8.5 bits), or auto: f32 with --dtype f32, "
    "else bf16";

inline constexpr const char* kAdapterTypeHelp =
    "factors of the adapter: f32, bf16, int8 (8.5 bits), or auto: f32 with --dtype f32, else int8 "
    "or bf16, whichever the processor reads sooner";

inline constexpr const char* kOutputTypeHelp =
    "the output matrix: stored (as the model has it), int8 (8.5 bits), or auto: int8 where "
    "adapters are, else stored";

// Of stages that learn a task.
template <typename Visitor>
void visit_columns(data::NamedColumns& c, Visitor& v) {
  const std::string of_both = "classification, regression: ";
  v("--text-column", c.text, of_both + evaluate::kTextColumnHelp);
  v("--label-column", c.label, of_both + evaluate::kLabelColumnHelp);
  v("--labels", c.labels, std::string("classification: ") + evaluate::kLabelsHelp);
}

template <typename Visitor>
void visit_options(PlanOptions& o, Visitor& v) {
  v("-o,--output", o.output, "the plan to write, a JSON file");
  v("--overwrite", o.overwrite, "replace it if it is there");
  v.group("Budget (one of the two)");
  v("--bits", o.bits, "mean stored bits of a quantized weight, all scales counted");
  v("--size", o.size, "of all tensors and the adapter: 3GB, 700MiB, ...");
  v.group("Choice");
  v("--strategy", o.strategy, "ilp, greedy, first-layers or uniform");
  v("--candidates", o.candidates,
    "lq-lora, wide, trellis, trellis-short, auto, or a JSON file: an array of formats");
  v("--adjacent", o.adjacent, "of these only the two code widths around the budget");
  v("--first-last-bits", o.first_last_bits, "least bits of a code in the first and the last layer");
  v("--same-qkv", o.same_qkv, "one format for q_proj, k_proj and v_proj of a layer");
  v("--time-limit", o.time_limit, "of the integer program, in seconds");
  v("--target-modules", o.target_modules,
    "q_proj, v_proj, lm_head, ...; default: all linear layers but lm_head");
  v.group("Errors");
  v("--rank", o.rank, "rank of the adapter to come: what it takes up costs no bits");
  v("--ranks", o.ranks,
    "in place of --rank: 0,16,64 and the like, one for each matrix, within the budget");
  v("--metric", o.metric, "frobenius, fisher, gram-diagonal, gram or fisher-gram");
  v("--stats", o.stats, "what calibrate wrote; every metric but frobenius needs it");
  v("--damping", o.damping, "of Gram matrices, in parts of the diagonal's mean");
  v("--sensitivity", o.sensitivity,
    "what qloft sensitivity wrote: errors count as the divergence that it measured");
  v("--adapter-dtype", o.adapter_dtype,
    "how it is stored, for --size and --ranks: auto (bf16 for a model of 16 bits, else f32), f32, "
    "bf16, f16, f8 or nf8");
}

// Of stages that decompose matrices: by which method.
template <typename Visitor>
void visit_method(QuantizeOptions& o, Visitor& v) {
  v("--method", o.method,
    "auto (the best there is, by what is given), or that of a paper: qlora, loftq, lq-lora, "
    "gptq-lora, cloq, qera, qera-approx, qloft");
  v("--metric", o.metric,
    "frobenius, fisher, gram-diagonal, gram or fisher-gram (the method's own)");
}

// The same: its adapter and its loop.
template <typename Visitor>
void visit_loop(QuantizeOptions& o, Visitor& v) {
  v("--damping", o.damping, "of Gram matrices, in parts of the diagonal's mean (0.01)");
  v("--rank", o.rank,
    "rank of the adapter (16, by the method auto 32 in f8; with --size by a plan); 0: none");
  v("--alpha", o.alpha, "its alpha (the rank, so that its scale is 1)");
  v("--iterations", o.iterations, "alternations of the method's loop (its own)");
  v("--low-rank-start", o.low_rank_start,
    "part of the weight's own best low-rank matrix that the loop begins with, 0 to 1 (1 of qloft "
    "with quantized inputs, else 0)");
  v("--effort", o.effort,
    "of qloft's search: lowest, low, medium or high (its own); low takes a fifth of the time, for "
    "errors 2.5 % larger, lowest a third of that");
  v("--exact", o.exact, "full singular value decompositions");
  v("--seed", o.seed, "seed of the random parts");
  v("--target-modules", o.target_modules,
    "q_proj, v_proj, lm_head, ...; default: all linear layers but lm_head");
}

// The same: its format, but for the bits.
template <typename Visitor>
void visit_format(QuantizeOptions& o, Visitor& v) {
  v("--codebook", o.codebook, alternatives(quant::codebook_names()));
  v("--block", o.block, "weights that share a scale: 16 to 4096; 0: a row");
  v("--scale", o.scale,
    "absmax, mse: the scale of the least squared error, or deviation: two standard deviations of "
    "the matrix");
  v("--scale-type", o.scale_type, "f32, bf16, f16, or double: quantized themselves");
  v("--second-bits", o.second_bits, "double: bits of a scale (8)");
  v("--second-block", o.second_block, "double: scales that share a scale (256)");
  v("--second-type", o.second_type, "double: type of that scale (f32)");
  v("--second-code", o.second_code, "double: dynamic (bitsandbytes) or uniform (LQ-LoRA)");
}

template <typename Visitor>
void visit_options(QuantizeOptions& o, Visitor& v) {
  v("-o,--output", o.output, "the folder to write");
  v("--overwrite", o.overwrite, "replace it if it is not empty");
  visit_method(o, v);
  v("--stats", o.stats, "what calibrate wrote; every metric but frobenius needs it");
  v("--data", o.data, "in place of --stats: a text, JSON Lines or an array, to calibrate on");
  v("--task", o.task, "the task that --data are of (finetune --task)");
  visit_columns(o.columns, v);
  v("--random-tokens", o.random_tokens,
    "in place of --data, where there is none: calibrate on "
    "tokens of the vocabulary, drawn at random");
  v("--samples", o.samples, "sequences of --data or --random-tokens (128, 64)");
  v("--length", o.length, "tokens of such a sequence (512)");
  v("--token-weights", o.token_weights,
    "what its tokens count: even (all alike), loss (by the gradients of the loss), or auto");
  v("--chat-template", o.chat_template, kChatTemplateHelp);
  v("--inputs", o.inputs,
    "what matrices are calibrated on: full (inputs in the full model), quantized (behind those "
    "that are quantized already, whose errors are made up for; slower), or auto (quantized, by "
    "the method auto for a decoder with --data)");
  visit_loop(o, v);
  v("--adapter-dtype", o.adapter_dtype,
    "how the adapter is stored: auto (bf16 for a model of 16 bits, else f32; by the method auto f8 "
    "where no --rank is given), f32, bf16, f16, f8 "
    "(8 bits, which PEFT reads), or nf8 (8 bits, more exact, which it does not)");
  v("--recover", o.recover,
    "steps in which `recover` trains the adapter on --data at the end; 0: none");
  v.group("Format");
  v("--plan", o.plan, "a plan of `qloft plan`: a format for each matrix, in place of the others");
  v("--bits", o.bits, "1 to 8 (the method's own: 4); 2.5 and the like: stored bits, by a plan");
  v("--size", o.size, "in place of bits, by a plan: 400MB of all tensors and the adapter");
  v("--ranks", o.ranks,
    "in place of --rank, by a plan: 8,16,64 and the like, one for each matrix; bits then count the "
    "adapter");
  visit_format(o, v);
}

template <typename Visitor>
void visit_options(train::Options& o, Visitor& v) {
  using train::Schedule;
  v.group("Training");
  v("--lr", o.learning_rate,
    "learning rate; factors that carry a share of the weights want a third of a fresh adapter's");
  v("--schedule",
    choice(o.schedule, {{"cosine", Schedule::cosine},
                        {"linear", Schedule::linear},
                        {"constant", Schedule::constant}}),
    "how the learning rate falls");
  v("--warmup", o.warmup, "below 1: a share of all steps; else a number of steps");
  v("--min-lr", o.min_learning_rate, "where cosine and linear end, as a share of --lr");
  v("--epochs", o.epochs, "passes over the data");
  v("--steps", o.max_steps, "steps in place of epochs; 0: by epochs");
  v("--batch", at_most(o.batch, train::kMostBatch), "sequences, or packed rows, a micro-batch");
  v("--accumulate", at_most(o.accumulate, train::kMostAccumulate), "micro-batches a step");
  v("--length", at_most(o.length, train::kMostLength),
    "tokens of a packed row, and of the longest example");
  v("--batching",
    choice(o.batching, {{"padded", data::Batching::padded}, {"packed", data::Batching::packed}}),
    "one example a row, or several");
  v("--weight-decay", o.weight_decay, "AdamW's decoupled weight decay");
  v("--loraplus-lr-ratio", o.loraplus_lr_ratio,
    "learning rate of an adapter's B over that of its A, which --lr is (LoRA+); 4 with --lr 1e-4 "
    "often suits factors that carry a share of the weights");
  v("--beta1", o.beta1, "AdamW's first decay rate");
  v("--beta2", o.beta2, "AdamW's second decay rate");
  v("--epsilon", o.epsilon, "AdamW's epsilon");
  v("--clip", o.clip, "clip the global gradient norm; 0: do not");
  v("--checkpointing", o.checkpointing, "recompute activations in the backward pass: less memory");
  v("--seed", o.seed, "seed of the order of the data, of dropout and of fresh weights");
  v.group("Saving");
  v("--save-every", o.save_every, "steps between saves; 0: at the end only");
  v("--resume", o.resume, "go on with an interrupted run");
}

// Of stages that run a model, whatever else they take.
template <typename Options, typename Visitor>
void visit_arithmetic(Options& o, Visitor& v) {
  v("--device", o.device, "cpu, cuda or cuda:N");
  v("--dtype", o.dtype, kDtypeHelp);
  v("--matmul", o.matmul, kMatmulHelp);
}

// Of stages that train an adapter, which may be a fresh one.
template <typename Options, typename Visitor>
void visit_fresh_adapter(Options& o, Visitor& v) {
  v("--rank", o.rank, "rank of a fresh adapter (16)");
  v("--alpha", o.alpha, "its alpha (the rank)");
  v("--rslora", o.rslora, "scale by alpha / sqrt(rank)");
  v("--target-modules", o.target_modules, "q_proj, v_proj, ...; default: all linear layers");
}

template <typename Visitor>
void visit_options(FinetuneOptions& o, Visitor& v) {
  v("--data", o.data, "JSON Lines or an array: text, prompt+completion, messages, ...");
  v("--task", o.task,
    "learn the labels of GLUE's cola, sst2, mrpc, ... (.tsv, .csv or JSON), those of any file "
    "(classification) or its numbers (regression), the answers of squad or squad_v2, or the "
    "summaries of summarization");
  visit_columns(o.columns, v);
  v("--stride", at_most(o.stride, train::kMostLength),
    "squad, squad_v2: tokens of the context that a window shares with the one before");
  v("--summary-length", at_most(o.summary_length, train::kMostLength),
    "summarization: tokens of a summary at most; 0: 128");
  v("--prefix", o.prefix,
    "summarization: a text before each document (task_specific_params.summarization.prefix of "
    "config.json)");
  v("--source-language", o.source_language,
    std::string("summarization: ") + generate::kSourceLanguageHelp);
  v("--target-language", o.target_language,
    std::string("summarization: ") + generate::kTargetLanguageHelp);
  v("--num-beams", at_most(o.num_beams, 1 << 10),
    "summarization: sequences searched side by side in the validation; 0: what "
    "generation_config.json says");
  v("--label-smoothing", o.label_smoothing,
    "summarization: share of a target, from 0 to below 1, that all tokens have alike");
  v("-o,--output", o.output, "the folder to write");
  v("--overwrite", o.overwrite, "replace it if it is not empty");
  v("--validation", o.validation, "JSON Lines or an array to validate on");
  v("--validation-share", o.validation_share, "a share of the data to validate on");
  v("--chat-template", o.chat_template, kChatTemplateHelp);
  v("--show", o.show, "print the first N examples as training sees them, and train nothing");
  v("--method", o.method, "lora: train an adapter; full: train all weights");
  visit_arithmetic(o, v);
  v.group("Adapter");
  v("--adapter", o.adapter, "adapter to begin with; default: the one inside a quantized folder");
  v("--any-base", o.any_base, "take an adapter that names another base than this model");
  v("--fresh", o.fresh, "begin with a fresh one: A random, B zero");
  visit_fresh_adapter(o, v);
  v("--dropout", o.dropout, "dropout on the adapter's input");
  v("--save-dtype", o.save_dtype,
    "full: f32, bf16 or f16 (config.json's); lora: these, or 8 bits: f8, rounded by the inputs, or "
    "nf8 (f32)");
  v.group("Full fine-tuning");
  v("--from-random", o.from_random, "begin with random weights; MODEL gives config and tokenizer");
  v("--tokenizer", o.tokenizer, "folder of the tokenizer (the adapter's, or MODEL)");
  visit_options(o.train, v);
  v.group("Validation");
  v("--evaluate-every", o.train.evaluate_every, "steps between validations; 0: after each epoch");
  v("--patience", o.train.patience,
    "stop after so many validations without a better loss; 0: never");
}

template <typename Visitor>
void visit_options(RecoverOptions& o, Visitor& v) {
  v("--teacher", o.teacher, "the model that the folder was quantized from");
  v("--data", o.data, "a text, or JSON Lines or an array (.jsonl, .json) as finetune takes them");
  v("-o,--output", o.output, "the folder to write");
  v("--overwrite", o.overwrite, "replace it if it is not empty");
  v("--samples", o.samples, "sequences of the text, or rows (what --steps take; 256 by epochs)");
  v("--cache", o.cache, "a folder that keeps what the teacher says, for other runs too");
  v("--chat-template", o.chat_template, kChatTemplateHelp);
  visit_arithmetic(o, v);
  v.group("Loss");
  v("--loss",
    choice(o.loss, {{"kl", RecoveryLoss::kl},
                    {"hidden", RecoveryLoss::hidden},
                    {"blocks", RecoveryLoss::blocks}}),
    "what is brought near to the teacher's: probabilities, the last hidden states, or the states "
    "after each block, one block after the other (steps are a block's)");
  v("--teacher-logits", at_most(o.teacher_logits, 1 << 20),
    "kl: the greatest of the teacher's that are kept a position; the others are one bucket");
  v("--next-token-weight", o.next_token_weight,
    "share of the next-token loss, from 0 to 1; the rest is the teacher's");
  v("--train", o.train_parts, "what is trained: adapter, norms, biases, scales");
  v.group("Adapter");
  v("--fresh", o.fresh, "do not begin with the adapter inside the folder: A random, B zero");
  visit_fresh_adapter(o, v);
  v("--save-dtype", o.save_dtype,
    "f32, bf16, f16, or 8 bits: f8, rounded by the inputs, or nf8 (as the folder's adapter, or "
    "f32)");
  visit_options(o.train, v);
}

template <typename Visitor>
void visit_options(SensitivityOptions& o, Visitor& v) {
  v("--data", o.data, "the text that the loss is measured on");
  v("-o,--output", o.output, "the file to write (JSON)");
  v("--overwrite", o.overwrite, "replace it if it is there");
  v("--windows", o.windows, "of the text, from its beginning");
  v("--window", at_most(o.window, train::kMostLength), "tokens a window");
  v("--restore", o.restore,
    "a folder quantized from MODEL: make one of its matrices full again at a time, in place of "
    "quantizing one");
  v("--stats", o.quantize.stats,
    "what calibrate wrote: for the errors that need it, and the method");
  v("--layers", o.layers, "matrices of these layers alone: 0,1,23");
  v("--match", o.match, "matrices whose name has this part, * for any characters");
  visit_arithmetic(o, v);
  v.group("Quantizing");
  visit_method(o.quantize, v);
  visit_loop(o.quantize, v);
  v("--bits", o.quantize.bits, "1 to 8 (the method's own: 4)");
  visit_format(o.quantize, v);
}

template <typename Visitor>
void visit_options(ModelOptions& o, Visitor& v) {
  v("--adapter", o.adapter, "PEFT adapter folder; default: the one inside a quantized folder");
  v("--bare", o.bare, "use no adapter, not even the one inside a quantized folder");
  v("--any-base", o.any_base, "take an adapter that names another base than this model");
  v("--chat-template", o.chat_template, kChatTemplateHelp);
  visit_arithmetic(o, v);
}

template <typename Visitor>
void visit_options(EvaluateOptions& o, Visitor& v) {
  v("--task", o.task, evaluate::task_help());
  v("--data", o.data, evaluate::data_help());
  for (evaluate::Setting& setting : o.settings) {
    if (auto* number = std::get_if<std::int64_t>(&setting.value)) {
      v(setting.flags, at_most(*number, setting.most), setting.help);
      continue;
    }
    std::visit([&](auto& value) { v(setting.flags, value, setting.help); }, setting.value);
  }
  visit_options(o.model, v);
  v("--cache-type", o.model.cache_type,
    std::string(kCacheTypeHelp) +
        "; perplexity is computed through such a cache where this is given, else without any");
  v("--adapter-type", o.model.adapter_type,
    "factors of the adapter: f32, bf16, int8 (8.5 bits), or auto: of gsm8k as generate has it, "
    "else f32");
  v("--output-type", o.model.output_type,
    "the output matrix: stored (as the model has it), int8 (8.5 bits), or auto: of gsm8k as "
    "generate has it, else stored");
}

template <typename Visitor>
void visit_options(MergeOptions& o, Visitor& v) {
  v("-o,--output", o.output, "the folder to write");
  v("--overwrite", o.overwrite, "replace it if it is not empty");
  v("--adapter", o.adapter, "PEFT adapter folder; default: the one inside a quantized folder");
  v("--task", o.task,
    "the task that the adapter was trained for, where neither the model nor a config.json beside "
    "the adapter has a head for it");
  v("--labels", o.labels, "classification: the labels, in the order of the head");
  v("--bare", o.bare, "write Q alone, without the adapter inside a quantized folder");
  v("--any-base", o.any_base, "take an adapter that names another base than this model");
  v("--dtype", o.dtype, "f32, bf16 or f16; default: config.json's");
}

template <typename Visitor>
void visit_options(CalibrateOptions& o, Visitor& v) {
  v("--data", o.data, "a text, or JSON Lines or an array (.jsonl, .json) as finetune takes them");
  v("--random-tokens", o.random_tokens,
    "in place of --data: tokens of the vocabulary, drawn at random");
  v("--task", o.task, "the task that the data are of (finetune --task)");
  visit_columns(o.columns, v);
  v("-o,--output", o.output, "the file to write (safetensors)");
  v("--overwrite", o.overwrite, "replace it");
  v("--gram", o.gram, "Gram matrices only (default: these and Fisher factors)");
  v("--fisher", o.fisher, "Fisher factors only");
  v("--token-weights", o.token_weights,
    "how much a token counts in Gram matrices: even, or loss: by the gradient of the loss");
  v("--gram-memory", o.gram_memory,
    "MB for the Gram matrices of all layers, made with Fisher factors in one pass; where they take "
    "more: layer by layer");
  v("--samples", o.samples, "sequences");
  v("--length", at_most(o.length, train::kMostLength), "tokens a sequence");
  v("--seed", o.seed, "draws the sequences");
  visit_options(o.model, v);
}

}  // namespace qloft::pipeline
