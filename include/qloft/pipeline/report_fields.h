#pragma once
// The fields of the stages' reports, each declared once (qloft/core/fields.h).

#include <cstdint>

#include "qloft/architecture/memory.h"
#include "qloft/core/fields.h"
#include "qloft/pipeline/bench.h"
#include "qloft/pipeline/calibrate.h"
#include "qloft/pipeline/finetune.h"
#include "qloft/pipeline/inspect.h"
#include "qloft/pipeline/merge.h"
#include "qloft/pipeline/plan.h"
#include "qloft/pipeline/quantize.h"
#include "qloft/pipeline/recover.h"
#include "qloft/pipeline/sensitivity.h"

namespace qloft::architecture {

template <typename Visitor>
void visit_fields(TrainingMemory& m, Visitor& v) {
  v("weights", m.weights, show::bytes("weights"));
  v("gradients", m.gradients, show::bytes("gradients"));
  v("optimizer", m.optimizer, show::bytes("optimizer"));
  v("activations", m.activations, show::bytes("activations"));
  double total = m.total();
  v("total", total, show::bytes("total"));
}

}  // namespace qloft::architecture

namespace qloft::pipeline {

// Stored bits of a quantized weight and, over the same weights, of the adapter as it lies on disk.
inline Shown show_total_bits() {
  return show::fixed("with adapter", 3);
}

template <typename Visitor>
void visit_fields(CalibrateReport& r, Visitor& v) {
  v("dtype", r.arithmetic.dtype);
  v("matmul", r.arithmetic.matmul);
  v("matrices", r.matrices, show::text("matrices"));
  v("samples", r.samples, show::text("sequences"));
  v("tokens", r.tokens, show::text("tokens"));
  v("truncated_examples", r.truncated_examples);
  v("left_out_examples", r.left_out_examples);
  v("gram", r.gram);
  v("fisher", r.fisher);
  v("one_pass", r.one_pass);
  v("bytes", r.bytes, show::bytes("size"));
  v("fisher_seconds", r.fisher_seconds);
  v("gram_seconds", r.gram_seconds);
  v("peak_memory", r.peak_memory, show::bytes("peak memory"));
  v("seconds", r.seconds, show::duration("time"));
  v("resumed", r.resumed);
  v("output", r.output, show::text("written to"));
}

template <typename Visitor>
void visit_fields(PlannedFormat& f, Visitor& v) {
  v("format", f.format, show::text("format"));
  v("rank", f.rank, show::text("rank"));
  v("matrices", f.matrices, show::text("matrices"));
  v("weights", f.weights, show::count("weights"));
  v("bits_per_weight", f.bits_per_weight, show::fixed("bits", 3));
}

template <typename Visitor>
void visit_fields(PlanReport& r, Visitor& v) {
  v("formats", r.formats);
  v("strategy", r.strategy);
  v("matrices", r.matrices);
  v("candidates", r.candidates);
  v("bits_per_weight", r.bits_per_weight, show::fixed("bits per weight", 4));
  v("bytes", r.bytes);
  v("model_bytes", r.model_bytes, show::bytes("model and adapter"));
  v("objective", r.objective, show::fixed("sum of errors", 4));
  v("bound", r.bound);
  v("gap", r.gap, show::percent("gap to the bound", 4));
  v("seconds", r.seconds, show::duration("time"));
  v("solve_seconds", r.solve_seconds, show::fixed("of it the choice, s", 2));
  v("known_errors", r.known);
  v("errors_file", r.errors_file, show::text("errors kept in"));
  v("output", r.output, show::text("written to"));
}

template <typename Visitor>
void visit_fields(QuantizedMatrix& m, Visitor& v) {
  v("name", m.name);
  v("layer", m.layer);
  v("rows", m.rows);
  v("columns", m.columns);
  v("format", m.format);
  v("bits_per_weight", m.bits_per_weight);
  v("relative_error", m.relative_error);
  v("metric", m.metric);
  v("metric_error", m.metric_error);
  v("svd_residual", m.svd_residual);
  v("seconds", m.seconds);
}

template <typename Visitor>
void visit_fields(QuantizeReport& r, Visitor& v) {
  v("chosen", r.chosen, r.chosen.empty() ? Shown{} : show::text("chosen"));
  v("reason", r.reason, r.reason.empty() ? Shown{} : show::text("because"));
  v("matrices", r.matrices, show::text("matrices"));
  v("format", r.format, show::text("format"));
  v("bits_per_weight", r.bits_per_weight, show::fixed("bits per weight", 3));
  v("adapter_bits_per_weight", r.adapter_bits_per_weight, show::fixed("of the adapter", 3));
  v("total_bits_per_weight", r.total_bits_per_weight, show_total_bits());
  v("relative_error", r.relative_error, show::fixed("mean error", 4));
  v("metric", r.metric);
  v("metric_error", r.metric_error,
    r.metric == "frobenius" ? Shown{} : show::fixed("by " + r.metric, 4));
  v("first_loss", r.first_loss, r.first_loss ? show::fixed("first loss", 4) : Shown{});
  v("last_loss", r.last_loss, r.last_loss ? show::fixed("last loss", 4) : Shown{});
  v("held_out_before", r.held_out_before,
    r.held_out_before ? show::fixed("held out, before", 4) : Shown{});
  v("held_out_after", r.held_out_after,
    r.held_out_after ? show::fixed("held out, after", 4) : Shown{});
  v("recover_seconds", r.recover_seconds,
    r.recover_seconds ? show::duration("of the recovery") : Shown{});
  v("peak_memory", r.peak_memory, show::bytes("peak memory"));
  v("seconds", r.seconds, show::duration("time"));
  v("resumed", r.resumed);
  v("output", r.output, show::text("written to"));
}

template <typename Visitor>
void visit_fields(FinetuneReport& r, Visitor& v) {
  train::Summary& s = r.summary;
  v("method", r.method);
  v("dtype", r.arithmetic.dtype);
  v("matmul", r.arithmetic.matmul);
  v("trained_parameters", r.trained_parameters, show::count("trained parameters"));
  v("train_examples", r.train_examples);
  v("validation_examples", r.validation_examples);
  v("steps", s.steps, show::text("steps"));
  v("tokens", s.tokens);
  v("first_loss", s.first_loss, show::fixed("first loss", 4));
  v("last_loss", s.last_loss, show::fixed("last loss", 4));
  v("best_validation_loss", s.best_validation_loss, show::fixed("best validation loss", 4));
  v("score", r.score);
  v("best_score", r.best_score, show::fixed("best " + r.score, 4));
  const bool validated = s.best_validation_loss || r.best_score;
  v("best_step", s.best_step, validated ? show::text("at step") : Shown{});
  v("stopped_early", s.stopped_early);
  v("truncated_examples", s.truncated_examples);
  v("skipped_examples", s.skipped_examples);
  v("tokens_per_second", s.tokens_per_second, show::count("tokens per second"));
  v("seconds", r.seconds, show::duration("time"));
  v("output", r.output, show::text("written to"));
}

template <typename Visitor>
void visit_fields(RecoverReport& r, Visitor& v) {
  train::Summary& s = r.summary;
  v("dtype", r.arithmetic.dtype);
  v("matmul", r.arithmetic.matmul);
  v("trained_parameters", r.trained_parameters, show::count("trained parameters"));
  v("sequences", r.sequences, show::text("sequences"));
  v("truncated_examples", r.truncated_examples);
  v("left_out_examples", r.left_out_examples);
  v("steps", s.steps, show::text("steps"));
  v("tokens", s.tokens, show::text("tokens"));
  v("first_loss", s.first_loss, show::fixed("first loss", 4));
  v("last_loss", s.last_loss, show::fixed("last loss", 4));
  v("held_out", r.held_out, r.held_out > 0 ? show::text("sequences held out") : Shown{});
  v("held_out_before", r.held_out_before, show::fixed("held out, before", 4));
  v("held_out_after", r.held_out_after, show::fixed("held out, after", 4));
  v("tokens_per_second", s.tokens_per_second, show::count("tokens per second"));
  v("cache_bytes", r.cache_bytes, show::bytes("teacher's outputs"));
  v("teacher_seconds", r.teacher_seconds, show::duration("of the teacher"));
  v("peak_memory", r.peak_memory, show::bytes("peak memory"));
  v("seconds", r.seconds, show::duration("time"));
  v("output", r.output, show::text("written to"));
}

template <typename Visitor>
void visit_fields(ShownExample& e, Visitor& v) {
  v("file", e.file);
  v("location", e.location);
  v("step", e.step);
  v("micro_batch", e.micro_batch);
  v("row", e.row);
  v("column", e.column);
  v("truncated", e.truncated);
  v("dropped", e.dropped);
  v("left_out", e.left_out);
  v("endless", e.endless);
  v("tokens", e.tokens);
  v("ids", e.ids);
  v("learned", e.learned);
}

template <typename Visitor>
void visit_fields(ShowReport& r, Visitor& v) {
  v("examples", r.examples, show::text("examples"));
  v("truncated_examples", r.truncated_examples, show::text("truncated"));
  v("skipped_examples", r.skipped_examples, show::text("left out"));
  v("endless_examples", r.endless_examples, show::text("without an end token"));
  v("tokens", r.tokens, show::text("tokens an epoch"));
  v("learned", r.learned, show::text("learned of them"));
  v("steps_per_epoch", r.steps_per_epoch, show::text("steps an epoch"));
  v("steps", r.steps, show::text("steps of the run"));
  v("shown", r.shown);
}

template <typename Visitor>
void visit_fields(SensitiveMatrix& m, Visitor& v) {
  v("name", m.name, show::text("matrix"));
  v("kind", m.kind);
  v("layer", m.layer);
  v("rows", m.rows);
  v("columns", m.columns);
  v("format", m.format);
  v("bits_per_weight", m.bits_per_weight);
  v("divergence", m.divergence, show::fixed("divergence", 6));
  v("loss_increase", m.loss_increase, show::fixed("loss", 6));
  v("predicted_loss", m.predicted_loss, show::fixed("predicted", 6));
  v("relative_error", m.relative_error, show::fixed("error", 4));
  v("squared_error", m.squared_error);
  v("gram_error", m.gram_error, show::fixed("gram", 4));
  v("gram_squared_error", m.gram_squared_error);
  v("fisher_gram_error", m.fisher_gram_error, show::fixed("fisher-gram", 4));
  v("fisher_gram_squared_error", m.fisher_gram_squared_error);
  v("worst_output_error", m.worst_output_error, show::fixed("worst out", 3));
  v("worst_input_error", m.worst_input_error, show::fixed("worst in", 3));
  v("tail_error", m.tail_error, show::fixed("tail", 4));
  v("weight_peak", m.weight_peak, show::fixed("weight peak", 1));
  v("input_peak", m.input_peak, show::fixed("input peak", 1));
  v("top_input", m.top_input, show::text("top input"));
  v("top_share", m.top_share, show::percent("its share", 1));
  v("seconds", m.seconds);
}

template <typename Visitor>
void visit_fields(SensitivityRanks& r, Visitor& v) {
  v("kind", r.kind, show::text("kind"));
  v("matrices", r.matrices, show::text("matrices"));
  v("divergence", r.divergence, show::fixed("divergence", 4));
  v("share", r.share, show::percent("share", 1));
  v("loss_increase", r.loss_increase, show::fixed("loss", 2));
  v("predicted_loss", r.predicted_loss, show::fixed("predicted", 2));
  v("relative_error", r.relative_error, show::fixed("error", 2));
  v("squared_error", r.squared_error, show::fixed("squared", 2));
  v("gram_error", r.gram_error, show::fixed("gram", 2));
  v("gram_squared_error", r.gram_squared_error, show::fixed("squared", 2));
  v("fisher_gram_error", r.fisher_gram_error, show::fixed("fisher-gram", 2));
  v("fisher_gram_squared_error", r.fisher_gram_squared_error, show::fixed("squared", 2));
  v("worst_output_error", r.worst_output_error, show::fixed("worst out", 2));
  v("worst_input_error", r.worst_input_error, show::fixed("worst in", 2));
  v("tail_error", r.tail_error, show::fixed("tail", 2));
  v("weight_peak", r.weight_peak, show::fixed("weight peak", 2));
  v("input_peak", r.input_peak, show::fixed("input peak", 2));
}

template <typename Visitor>
void visit_fields(SensitivityReport& r, Visitor& v) {
  v("dtype", r.arithmetic.dtype);
  v("matmul", r.arithmetic.matmul);
  v("method", r.method, show::text("method"));
  v("format", r.format, show::text("format"));
  v("rank", r.rank, show::text("rank"));
  v("windows", r.windows, show::text("windows"));
  v("predictions", r.predictions, show::text("predictions"));
  v("loss", r.loss, show::fixed("loss of the full model", 4));
  v("perplexity", r.perplexity, show::fixed("its perplexity", 4));
  v("restored_divergence", r.restored_divergence, show::fixed("divergence with all", 4));
  v("divergence", r.divergence, show::fixed("sum of divergences", 4));
  v("predicted_loss", r.predicted_loss, show::fixed("sum of predictions", 4));
  v("matrices", r.matrices, show::text("matrices"));
  v("ranks", r.ranks);
  v("seconds", r.seconds, show::duration("time"));
  v("peak_memory", r.peak_memory, show::bytes("peak memory"));
  v("resumed", r.resumed);
  v("output", r.output, show::text("written to"));
}

template <typename Visitor>
void visit_fields(MergeReport& r, Visitor& v) {
  v("merged", r.merged, show::text("merged modules"));
  v("dequantized", r.dequantized, show::text("dequantized matrices"));
  v("dtype", r.dtype, show::text("type"));
  v("peak_memory", r.peak_memory);
  v("seconds", r.seconds, show::duration("time"));
  v("output", r.output, show::text("written to"));
}

template <typename Visitor>
void visit_fields(InspectedMatrix& m, Visitor& v) {
  v("name", m.name, show::text("matrix"));
  v("rows", m.rows, show::text("rows"));
  v("columns", m.columns, show::text("columns"));
  v("format", m.format, show::text("format"));
  v("bits_per_weight", m.bits_per_weight, show::fixed("bits", 3));
  v("total_bits_per_weight", m.total_bits_per_weight, show_total_bits());
  v("stored_bytes", m.stored_bytes);
  v("relative_error", m.relative_error, show::fixed("error", 4));
}

// Of the first block where layers differ. Not for reading back.
template <typename Visitor>
void visit_fields(InspectReport& r, Visitor& v) {
  const architecture::Layout& layout = r.layout;
  const architecture::Attention& attention = architecture::first_attention(layout);
  const architecture::Parameter& down = layout.parameter(architecture::first_mlp(layout).down);
  v("architecture", layout.family, show::text("architecture"));
  const bool encodes = !architecture::predicts_next_token(layout);
  v("head", std::string(architecture::name(layout.head.kind)),
    encodes ? show::text("head") : Shown{});
  v("labels", std::ssize(layout.head.labels),
    layout.head.labels.empty() ? Shown{} : show::text("labels"));
  v("parameters", r.parameters, show::count("parameters"));
  v("linear_parameters", r.linear_parameters, show::count("of linear layers"));
  v("layers", layout.layers(), show::text("layers"));
  v("encoder_layers", layout.first_block(),
    layout.encoder ? show::text("of the encoder") : Shown{});
  v("hidden_size", layout.hidden_size, show::text("hidden size"));
  v("intermediate_size", down.columns(), show::text("inner size"));
  v("heads", attention.heads, show::text("query heads"));
  v("key_value_heads", attention.key_value_heads, show::text("key/value heads"));
  v("head_dim", attention.head_dim, show::text("size of a head"));
  v("window", attention.window, attention.window > 0 ? show::text("sliding window") : Shown{});
  v("vocabulary_size", layout.vocabulary_size, show::text("vocabulary"));
  v("tied_embeddings", architecture::has_tied_output(layout), show::text("tied embeddings"));
  v("max_positions", layout.max_positions,
    layout.max_positions > 0 ? show::text("positions") : Shown{});
  v("memory_dtype", r.dtype);
  v("tensor_bytes", r.tensor_bytes, show::bytes("tensors on disk"));
  if (r.matrices.empty()) return;
  v("bits_per_weight", r.bits_per_weight, show::fixed("bits per weight", 3));
  v("total_bits_per_weight", r.total_bits_per_weight, show_total_bits());
  v("relative_error", r.mean_relative_error, show::fixed("mean error", 4));
  v("compression_ratio", r.compression_ratio, show::fixed("times smaller than bf16", 2));
}

template <typename Visitor>
void visit_fields(BenchRow& r, Visitor& v) {
  v("test", r.test);
  v("tokens", r.tokens);
  v("depth", r.depth);
  v("batch", r.batch);
  v("checkpointing", r.checkpointing);
  v("bits_per_weight", r.bits_per_weight, show::fixed("bits", 3));
  v("bytes", r.bytes, show::bytes("size"));
  v("dtype", r.dtype, show::text("dtype"));
  v("matmul", r.matmul, show::text("matmul"));
  v("cache_type", r.cache_type, show::text("cache"));
  v("threads", r.threads, show::text("threads"));
  v("rank", r.rank, show::text("rank"));
  v("adapter_type", r.adapter_type, show::text("adapter"));
  v("output_type", r.output_type, show::text("output"));
  v("label", r.label, show::text("test"));
  v("tokens_per_second", r.tokens_per_second, show::fixed("tokens/s", 2));
  v("deviation", r.deviation, show::fixed("+-", 2));
  v("peak_memory", r.peak_memory, show::bytes("peak memory"));
  v("samples", r.samples);
}

template <typename Visitor>
void visit_fields(BenchReport& r, Visitor& v) {
  v("model", r.model, show::text("model"));
  v("architecture", r.architecture, show::text("architecture"));
  v("parameters", r.parameters, show::count("parameters"));
  v("random", r.random, r.random ? show::text("random weights") : Shown{});
  v("processor", r.processor, show::text("processor"));
  v("instruction_set", r.instruction_set, show::text("instruction set"));
  v("device", r.device, show::text("device"));
  v("prefill_tokens_per_second", r.prompt_tokens_per_second);
  v("decode_tokens_per_second", r.decode_tokens_per_second);
  v("train_tokens_per_second", r.train_tokens_per_second);
  v("peak_memory", r.peak_memory);
  v("tests", r.tests);
  v("rows", r.rows);
}

}  // namespace qloft::pipeline
