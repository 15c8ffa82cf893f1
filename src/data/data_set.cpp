#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "message_forest.h"
#include "qloft/core/error.h"
#include "qloft/core/random.h"
#include "qloft/core/threads.h"
#include "qloft/data.h"
#include "qloft/data/rows.h"

namespace qloft::data {

struct DataSet::State {
  // A row is an example, or messages are put together to such.
  struct File {
    explicit File(const std::filesystem::path& path) : rows(path) {
      if (MessageForest::fits(rows)) forest.emplace(rows);
    }
    std::int64_t size() const { return forest ? forest->size() : rows.size(); }
    io::Json read(std::int64_t index) const {
      return forest ? forest->read(index) : rows.read(index);
    }
    ErrorLocation location(std::int64_t index) const {
      return forest ? forest->location(index) : rows.location(index);
    }

    Rows rows;
    std::optional<MessageForest> forest;
  };

  std::vector<File> files;
  std::vector<std::int64_t> first;  // the index of each file's first row
  std::int64_t size = 0;
  ExampleReader reader;

  // The file that holds an example, and which of its rows it is.
  std::pair<const File*, std::int64_t> find(std::int64_t index) const {
    if (index < 0 || index >= size) {
      throw InputError({{}, "example " + std::to_string(index)},
                       "out of range: the data has " + std::to_string(size) + " rows");
    }
    const auto after = std::upper_bound(first.begin(), first.end(), index);
    const auto which = static_cast<std::size_t>(after - first.begin()) - 1;
    return {&files[which], index - first[which]};
  }
};

DataSet::DataSet(const std::vector<std::filesystem::path>& files, ExampleReader reader) {
  if (files.empty()) throw InputError("expected at least one data file");
  State state{{}, {}, 0, std::move(reader)};
  state.files.reserve(files.size());
  for (const std::filesystem::path& file : files) {
    state.first.push_back(state.size);
    state.size += state.files.emplace_back(file).size();
  }
  if (state.size == 0) {
    throw InputError({files.front(), {}}, "expected rows of JSON, found none");
  }
  state_ = std::make_shared<const State>(std::move(state));
}

std::int64_t DataSet::size() const {
  return state_->size;
}

Example DataSet::get(std::int64_t index) const {
  const auto [file, local] = state_->find(index);
  return state_->reader.read(file->read(local), file->location(local));
}

ErrorLocation DataSet::location(std::int64_t index) const {
  const auto [file, local] = state_->find(index);
  return file->location(local);
}

const ExampleReader& DataSet::reader() const {
  return state_->reader;
}

std::vector<Example> DataSet::get(std::span<const std::int64_t> indices) const {
  std::vector<Example> examples(indices.size());
  parallel_for(static_cast<std::int64_t>(indices.size()), 16,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const auto at = static_cast<std::size_t>(i);
                   examples[at] = get(indices[at]);
                 }
               });
  return examples;
}

DataSet::Split DataSet::split(double validation_share, std::uint64_t seed) const {
  if (!(validation_share >= 0 && validation_share < 1)) {
    throw InputError({{}, "validation share"}, "expected a number from 0 to below 1, found " +
                                                   std::to_string(validation_share));
  }
  Split split;
  split.train.resize(static_cast<std::size_t>(size()));
  std::iota(split.train.begin(), split.train.end(), std::int64_t{0});
  if (validation_share == 0) return split;
  if (size() < 2) {
    throw InputError({location(0).file, {}},
                     "one example cannot be shared between training and validation");
  }
  Random random(seed);
  random.shuffle(std::span(split.train));
  const auto wanted =
      static_cast<std::int64_t>(std::llround(validation_share * static_cast<double>(size())));
  const std::int64_t kept = size() - std::clamp<std::int64_t>(wanted, 1, size() - 1);
  const auto border = split.train.begin() + kept;
  split.validation.assign(border, split.train.end());
  split.train.erase(border, split.train.end());
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.validation.begin(), split.validation.end());
  return split;
}

}  // namespace qloft::data
