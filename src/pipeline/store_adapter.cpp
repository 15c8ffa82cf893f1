#include "store_adapter.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "qloft/adapter.h"
#include "qloft/architecture.h"
#include "qloft/calibrate.h"
#include "qloft/core/error.h"
#include "qloft/decompose.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

// More tokens make the rounding hardly better.
constexpr std::int64_t kTokens = 16384;
constexpr double kDamping = 0.01;
// Beside the adapter that was trained last, which need not be the best one.
constexpr const char* kRounded = "rounded";

std::vector<std::int64_t> draw(const train::Examples& examples) {
  const std::vector<std::int32_t>& lengths = examples.lengths();
  const auto tokens = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  const double share =
      static_cast<double>(kTokens) / static_cast<double>(std::max(tokens, kTokens));
  const auto samples = static_cast<std::int64_t>(share * static_cast<double>(examples.size()));
  return calibrate::draw_places(examples.size(), std::max(samples, std::int64_t{1}), 0);
}

class Rounding {
 public:
  Rounding(const architecture::Layout& layout, adapter::Adapter& adapter, ElementType type)
      : adapter_(adapter), type_(type) {
    for (const architecture::ParameterId id : architecture::multiplied(layout)) {
      const std::string module = layout.parameter(id).module();
      if (!adapter.modules.contains(module)) continue;
      const auto holder = calibrate::gram_of(layout, id, calibrate::TokenWeights::even);
      sharing_[layout.parameter(holder).module()].push_back(module);
    }
  }

  // All modules whose inputs have this Gram matrix.
  void round(const std::string& holder, std::span<const float> triangle) {
    const auto modules = sharing_.find(holder);
    if (modules == sharing_.end()) return;
    decompose::Statistics statistics;
    if (std::ranges::any_of(triangle, [](float value) { return value != 0.f; })) {
      const std::int64_t n = adapter_.modules.at(modules->second.front()).a.columns();
      statistics.gram = symmetric(triangle, n);
    }
    for (const std::string& module : modules->second) round(module, statistics);
    sharing_.erase(modules);
  }

  // Those whose inputs were not seen, and embeddings.
  void round_rest() {
    for (const auto& [module, factors] : adapter_.modules) {
      if (!rounded_.contains(module)) round(module, decompose::Statistics{});
    }
  }

 private:
  void round(const std::string& module, const decompose::Statistics& statistics) {
    adapter::Factors& factors = adapter_.modules.at(module);
    decompose::round_factors(factors.a, factors.b, type_, statistics, kDamping, module);
    rounded_.insert(module);
  }

  adapter::Adapter& adapter_;
  ElementType type_;
  std::map<std::string, std::vector<std::string>> sharing_;  // by the module of gram_of
  std::set<std::string> rounded_;
};

// Whether no step of training is lost between neighbouring values of the type.
bool holds(ElementType type, const adapter::Adapter& adapter) {
  if (type != ElementType::f8) return true;
  const auto held = [&](float value) { return round_to(value, type) == value; };
  return std::ranges::all_of(adapter.modules, [&](const auto& entry) {
    const auto& [a, b] = entry.second;
    return std::ranges::all_of(a.values(), held) && std::ranges::all_of(b.values(), held);
  });
}

void expect_going_on(const Progress& progress) {
  if (progress.stop_requested()) throw Interrupted({}, "stopped");
}

void take_through_objective(model::Model& model, model::AdapterId adapter,
                            const train::Examples& examples,
                            const std::vector<std::int64_t>& places,
                            const train::Objective& objective, const calibrate::GramSink& sink,
                            Progress& progress) {
  calibrate::GramSums grams(model);
  std::int64_t tokens = 0;
  progress.begin("Gram matrices", places.size(), "sequences");
  for (std::size_t i = 0; i < places.size(); ++i) {
    expect_going_on(progress);
    const train::Batch batch = train::padded_batch(examples, {places[i]}, model, adapter);
    calibrate::add_sequence(model, [&](model::Model& own) { return objective(own, batch); },
                            {.grams = &grams});
    tokens += batch.tokens;
    progress.update(i + 1, "");
  }
  progress.end();
  calibrate::finish_grams(grams, tokens, sink);
}

void round_by_inputs(model::Model& model, adapter::Adapter& adapter, ElementType type,
                     const train::Examples& examples, const train::Objective& objective,
                     Progress& progress) {
  const architecture::Layout& layout = model.layout();
  adapter::raise_small_factors(adapter);
  model.set_training(false);
  const model::AdapterId attached = model.attach(kRounded, adapter, /*train=*/false);
  const std::vector<std::int64_t> places = draw(examples);
  Rounding rounding(layout, adapter, type);
  const auto sink = [&](const std::string& holder, std::span<const float> triangle) {
    rounding.round(holder, triangle);
  };
  if (!layout.encoder && architecture::predicts_next_token(layout)) {
    calibrate::collect_gram(
        model, attached, examples.get(places), nullptr, 0, sink, [](std::int64_t) {}, progress);
  } else {
    take_through_objective(model, attached, examples, places, objective, sink, progress);
  }
  rounding.round_rest();
  model.detach(kRounded);
}

}  // namespace

void store_adapter(model::Model& model, const fs::path& folder, ElementType type,
                   const train::Examples& examples, const train::Objective& objective,
                   Progress& progress) {
  adapter::Adapter adapter = adapter::load(folder, model.layout());
  try {
    if (!holds(type, adapter)) {
      round_by_inputs(model, adapter, type, examples, objective, progress);
    }
  } catch (const Interrupted&) {
    throw Interrupted({}, "stopped before the adapter was rounded; --resume goes on from there");
  }
  adapter::save(adapter, folder, type, model.layout());
}

}  // namespace qloft::pipeline
