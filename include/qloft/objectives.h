#pragma once
// objectives: a batch and a model to a loss.

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "qloft/model.h"

namespace qloft::objectives {

// A sum over predictions (natural log, summed in f64, an f32 scalar with gradient here) and how
// many they are.
struct Loss {
  at::Tensor sum;
  std::int64_t count = 0;
};

// Position i predicts ids[i + 1] of the same segment; it counts where loss_mask[i + 1] != 0
// (undefined: everywhere). loss_mask has the shape of ids. Logits are made and dropped in chunks of
// rows, forward and backward: the full logits of a batch never exist.
Loss next_token(model::Model& model, const model::Input& input, const at::Tensor& loss_mask = {});
// The same where the hidden states of the input, [rows * length, columns], are there already.
Loss next_token_of(model::Model& model, const at::Tensor& states, const model::Input& input,
                   const at::Tensor& loss_mask = {});

// What a head says of sequences against `labels`, by the problem of the layout's head:
//   single_label  int64 [rows]: cross entropy, natural log;
//   regression    f32 [rows], or [rows, labels]: the square of the difference, of every label;
//   multi_label   f32 [rows, labels] of 0 and 1: binary cross entropy of every label.
// count: the rows, or the numbers where each label counts by itself. Throws InputError for labels
// of another shape or type, or one that the head lacks.
Loss classification(model::Model& model, const model::Input& input, const at::Tensor& labels);
// The same of scores that are there already, f32 [rows, labels].
Loss classification_of(const model::Model& model, const at::Tensor& scores,
                       const at::Tensor& labels);

// The cross entropy of where spans begin and of where they end, over the tokens of each row but
// padding. starts, ends: int64 [rows]; those outside of the row do not count. count: of both
// together.
Loss spans(model::Model& model, const model::Input& input, const at::Tensor& starts,
           const at::Tensor& ends);

// The cross entropy of tokens' labels by a head for tokens: labels int64 [rows, length], negative
// where none counts.
Loss token_labels(model::Model& model, const model::Input& input, const at::Tensor& labels);

// The cross entropy of the tokens that stand behind masks: labels int64 [rows, length], negative
// where nothing is foretold.
Loss masked_token(model::Model& model, const model::Input& input, const at::Tensor& labels);

// What an encoder-decoder's decoder reads to foretell `labels`, int64 [rows, length]: these moved
// one to the right, behind the model's start token, and padding where they are negative.
at::Tensor decoder_input(const architecture::Layout& layout, const at::Tensor& labels);

// The cross entropy of targets that an encoder-decoder makes of `source`, by teacher forcing:
// labels int64 [rows, length], negative where none counts. `smoothing` from 0 to 1: the share of a
// target that the whole vocabulary has alike. `adapters` as in model::Input. Throws InputError for
// another model.
Loss sequence_to_sequence(model::Model& model, const model::Source& source,
                          const at::Tensor& labels, double smoothing = 0,
                          const std::vector<model::AdapterId>& adapters = {});

// The predictions of next_token, in the order of the rows: what a teacher says of each, the `count`
// greatest of its probabilities. Logits are made and dropped in chunks of rows. Without gradients.
model::TeacherRows teacher_rows(model::Model& model, const model::Input& input,
                                const at::Tensor& loss_mask, std::int64_t count);

// The same where the hidden states of the input, [rows * length, columns], are there already.
model::TeacherRows teacher_rows_of(model::Model& model, const at::Tensor& states,
                                   const model::Input& input, const at::Tensor& loss_mask,
                                   std::int64_t count);

// Sums over `count` predictions: the negative log-likelihood of what came, and the divergence from
// a teacher.
struct Comparison {
  double loss = 0;
  double divergence = 0;
  std::int64_t count = 0;
};
// Of the predictions of next_token, whose hidden states [rows * length, columns] are there already;
// `teacher` as distillation has it. Logits are made once for both, in chunks of rows. Without
// gradients.
Comparison comparison_of(model::Model& model, const at::Tensor& states, const model::Input& input,
                         const model::TeacherRows& teacher);

// The divergence of the model's predictions from the teacher's, mixed with the negative
// log-likelihood by `next_token_weight` from 0 to 1 (model::Model::divergence), of the predictions
// that next_token counts. `teacher` has a row for each of them, in the order of the rows. Throws
// InputError for another number of rows, or an id that is none of the model's.
Loss distillation(model::Model& model, const model::Input& input, const at::Tensor& loss_mask,
                  const model::TeacherRows& teacher, double next_token_weight);

// The hidden states that the output matrix is applied to where something that counts is predicted,
// in the order of the rows: bf16 CPU [predictions, columns]. Without gradients.
at::Tensor teacher_states(model::Model& model, const model::Input& input,
                          const at::Tensor& loss_mask);

// (1 - w) times the sum over predictions of |h - t|^2 / |t|^2, h the model's hidden states and t
// the teacher's, a row for each prediction, plus w times next_token. Throws InputError for
// teacher's states of another shape.
Loss distillation_of_states(model::Model& model, const model::Input& input,
                            const at::Tensor& loss_mask, const at::Tensor& teacher,
                            double next_token_weight);

// The same of what block `index` makes of x [rows, length, columns], the state before it of each
// position of the input; `teacher` [predictions, columns].
Loss distillation_of_block(model::Model& model, std::int64_t index, const at::Tensor& x,
                           const model::Input& input, const at::Tensor& loss_mask,
                           const at::Tensor& teacher);

}  // namespace qloft::objectives
