#pragma once
// The examples of a run, read and checked once, before the weights are: a broken line, truncation
// and examples without a prediction that counts are known before there is anything to wait for.

#include <cstdint>
#include <optional>
#include <vector>

#include "qloft/core/progress.h"
#include "qloft/data.h"
#include "qloft/data/omissions.h"

namespace qloft::train {

class Examples {
 public:
  // Reads the examples of `indices` on all threads. Throws what the data set throws.
  Examples(const data::DataSet& data, const std::vector<std::int64_t>& indices, Progress& progress);
  // These, kept in memory. An index is a place among them.
  explicit Examples(const std::vector<data::Example>& examples);

  // The ones with a prediction that counts; the others are left out.
  std::int64_t size() const { return static_cast<std::int64_t>(lengths_.size()); }
  const std::vector<std::int32_t>& lengths() const { return lengths_; }
  const data::Omissions& omissions() const { return omissions_; }
  // By place, where it stands in the data.
  const std::vector<std::int64_t>& indices() const { return indices_; }
  std::int64_t predictions() const { return predictions_; }  // that count
  // A hash of all ids and masks in order.
  std::uint64_t fingerprint() const { return fingerprint_; }

  // Those at these places, from memory where they are kept, else from the files.
  std::vector<data::Example> get(const std::vector<std::int64_t>& places) const;

  // Ids beyond this many are read from the files each time they are needed.
  static constexpr std::int64_t kKeptTokens = std::int64_t{1} << 23;

 private:
  void take(std::int64_t index, const data::Example& example, std::int64_t most_kept);

  std::optional<data::DataSet> data_;  // none: all are kept
  std::vector<std::int64_t> indices_;
  std::vector<std::int32_t> lengths_;
  std::vector<std::int64_t> offsets_;  // of the kept ones, a prefix
  std::vector<tokenizer::TokenId> ids_;
  std::vector<std::uint8_t> loss_mask_;
  data::Omissions omissions_;
  std::int64_t predictions_ = 0;
  std::uint64_t fingerprint_ = 0;
};

// Throws InputError if none of them has a prediction that counts.
Examples read_examples(const data::DataSet& data, const std::vector<std::int64_t>& indices,
                       Progress& progress);

}  // namespace qloft::train
