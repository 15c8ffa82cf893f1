#pragma once
// What a head for spans says of the windows of a question to an answer, as transformers'
// postprocess_qa_predictions (examples/pytorch/question-answering) chooses it.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "qloft/data/squad.h"
#include "qloft/train/spans.h"

namespace qloft::evaluate {

struct AnswerRules {
  std::int64_t candidates = 20;  // the greatest beginnings and ends of a window, and answers kept
  std::int64_t longest = 30;     // ids of an answer
  bool unanswerable = false;     // none may be the answer
  double threshold = 0;          // of no_answer, above which it is
};

struct SpanCandidate {
  std::string text;  // empty: none
  float start = 0, end = 0;
  double probability = 0;  // among the candidates
};

struct SpanAnswer {
  std::string text;
  std::vector<SpanCandidate> candidates;  // the likeliest first
  // By how much the scores of no answer, the least over the windows, exceed those of the best
  // answer; where questions are unanswerable.
  double no_answer = 0;
};

// `windows` of one question and what was said of them, side by side.
SpanAnswer span_answer(const data::SpanQuestion& question,
                       std::span<const data::SpanWindow* const> windows,
                       std::span<const train::SpanScores> scores, const AnswerRules& rules);

}  // namespace qloft::evaluate
