#pragma once
// Beam search over scores and ids: which beams go on, which are finished, and when it ends. Whose
// scores they are and what caches go with the beams is the caller's.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "qloft/core/random.h"
#include "qloft/generate/options.h"

namespace qloft::generate {

class BeamSearch {
 public:
  using Ids = std::vector<tokenizer::TokenId>;

  struct Ends {
    Ids eos;
    std::int64_t max_tokens = 0;                 // new ids at most
    std::function<bool(const Ids&)> stops = {};  // whether new ids end a text; empty: never
  };

  // A sequence that goes on: its new ids, and which one it was before its last id.
  struct Beam {
    Ids ids;
    float score = 0;
    std::size_t parent = 0;
  };
  // A sequence that has ended, with its last id.
  struct Hypothesis {
    Ids ids;
    float score = 0;
    bool finished = false;
  };

  BeamSearch(const Beams& options, Ends ends);

  // The beams, best first; all are the same, and all but the first no candidates, at first.
  const std::vector<Beam>& beams() const { return beams_; }
  // One more id for each: `log_probabilities` has a row [vocabulary] for each beam. With `draws`
  // candidates are drawn. Throws ComputationError where one is NaN.
  void step(std::span<const std::span<const float>> log_probabilities, Random* draws = nullptr);
  bool done() const { return done_; }
  // The best num_return_sequences that have ended, best first; of a search that is not done, those
  // of the beams that run where none has.
  std::vector<Hypothesis> best() const;

 private:
  struct Candidate {
    float score = 0;
    double key = 0;  // what candidates are ordered by
    std::size_t parent = 0;
    tokenizer::TokenId id = 0;
  };
  std::vector<Candidate> candidates(std::span<const std::span<const float>> rows,
                                    Random* draws) const;
  void finish(const std::vector<Hypothesis>& ended);
  bool could_improve() const;

  Beams options_;
  Ends ends_;
  std::vector<Beam> beams_;
  std::vector<Hypothesis> finished_;  // num_beams, best first, of which some are places yet to fill
  std::int64_t length_ = 0;           // new ids of each beam
  bool improvable_ = true;
  bool done_ = false;
};

}  // namespace qloft::generate
