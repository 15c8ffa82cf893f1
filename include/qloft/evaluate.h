#pragma once
// evaluate: a task and a model give named scores by the papers' protocols.

#include <cstdint>
#include <optional>

#include "qloft/architecture.h"
#include "qloft/chat_template.h"
#include "qloft/checkpoint.h"
#include "qloft/evaluate/final_number.h"
#include "qloft/evaluate/score.h"
#include "qloft/evaluate/task.h"
#include "qloft/model.h"
#include "qloft/tokenizer.h"
#include "qloft/train.h"

namespace qloft::evaluate {

struct Materials {
  const architecture::Layout& layout;
  const tokenizer::Tokenizer& tokenizer;
  const std::optional<chat_template::ChatTemplate>& chat;
  const checkpoint::Checkpoint& source;  // of end tokens
};

struct TrainingSet {
  train::Examples examples;
  train::Objective objective;
  std::uint64_t fingerprint = 0;  // of what the examples' ids do not tell
};

struct Subject {
  model::Model& model;
  model::AdapterId adapter;  // that its passes use
  const tokenizer::Tokenizer& tokenizer;
  const checkpoint::Checkpoint& source;  // of end tokens
  bool cached = false;  // caches were asked for, of a task that goes without (Caches)
  // Of a task that is measured beside another model (Task::teacher), of the same vocabulary.
  model::Model* teacher = nullptr;
  model::AdapterId teacher_adapter = model::kNoAdapter;
};

// Throws ComputationError naming the first tensor of the checkpoint, or module of an adapter, that
// holds a value that is not finite: attention may hide it, and the scores would be wrong.
void expect_finite_weights(const Subject& subject);

}  // namespace qloft::evaluate
