#include <algorithm>
#include <limits>
#include <map>

#include "problem.h"
#include "qloft/core/error.h"
#include "strategies.h"

namespace qloft::plan {
namespace {

constexpr int kHigh = 4;
constexpr int kLow = 2;

struct Layer {
  std::vector<std::size_t> matrices;
  int least_bits = 0;
};

// The layers with one format everywhere: bytes and error of each.
struct Column {
  std::size_t format = 0;
  std::vector<std::uint64_t> bytes;
  std::vector<double> errors;
};

std::vector<Layer> layers_of(const Problem& problem) {
  std::map<int, Layer> layers;
  for (std::size_t m = 0; m < problem.table.matrices.size(); ++m) {
    Layer& layer = layers[problem.table.matrices[m].layer];
    layer.matrices.push_back(m);
    layer.least_bits = std::max(layer.least_bits, problem.least_bits[m]);
  }
  std::vector<Layer> out;
  out.reserve(layers.size());
  for (auto& [number, layer] : layers) out.push_back(std::move(layer));
  return out;
}

std::vector<Column> columns_of(const Problem& problem, const std::vector<Layer>& layers, int bits) {
  std::vector<Column> columns;
  for (std::size_t f = 0; f < problem.table.formats.size(); ++f) {
    if (problem.table.formats[f].bits != bits) continue;
    Column column{.format = f, .bytes = {}, .errors = {}};
    for (const Layer& layer : layers) {
      std::uint64_t bytes = 0;
      double error = 0;
      for (const std::size_t m : layer.matrices) {
        bytes += problem.bytes[m][f];
        error += problem.table.matrices[m].errors[f];
      }
      column.bytes.push_back(bytes);
      column.errors.push_back(error);
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

struct Best {
  double error = std::numeric_limits<double>::infinity();
  std::size_t high = 0, low = 0;                                       // formats
  std::size_t first = 0;                                               // layers of `high`
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();  // that any pair takes
};

// As many first layers as fit; a layer that must have more than `low` has `high` in any case.
void try_pair(const Problem& problem, const std::vector<Layer>& layers, const Column& high,
              const Column& low, Best& best) {
  std::uint64_t bytes = 0;
  double error = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Column& column = layers[l].least_bits > kLow ? high : low;
    bytes += column.bytes[l];
    error += column.errors[l];
  }
  best.smallest = std::min(best.smallest, bytes);
  if (bytes > problem.budget) return;
  std::size_t first = 0;
  for (; first < layers.size(); ++first) {
    if (layers[first].least_bits > kLow) continue;
    const std::uint64_t next = bytes - low.bytes[first] + high.bytes[first];
    if (next > problem.budget) break;
    bytes = next;
    error += high.errors[first] - low.errors[first];
  }
  if (error < best.error) {
    best.error = error;
    best.high = high.format;
    best.low = low.format;
    best.first = first;
  }
}

}  // namespace

std::vector<std::size_t> choose_first_layers(const Problem& problem, double&) {
  const auto refuse = [](const std::string& text) {
    throw InputError({{}, "strategy"}, "first-layers: " + text);
  };
  const std::vector<Layer> layers = layers_of(problem);
  const std::vector<Column> high = columns_of(problem, layers, kHigh);
  const std::vector<Column> low = columns_of(problem, layers, kLow);
  if (high.empty() || low.empty()) refuse("expected candidates of 2 and of 4 bits");
  for (const Layer& layer : layers) {
    if (layer.least_bits > kHigh) {
      refuse("has 4 bits at most, but " + std::to_string(layer.least_bits) + " are asked for");
    }
  }
  Best best;
  for (const Column& h : high) {
    for (const Column& l : low) try_pair(problem, layers, h, l, best);
  }
  if (best.smallest > problem.budget) {
    refuse("the smallest pair of formats takes " + shown_bits(problem.bits(best.smallest)) +
           ", the budget is " + shown_bits(problem.bits(problem.budget)));
  }
  std::vector<std::size_t> formats(problem.table.matrices.size(), best.low);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    if (l >= best.first && layers[l].least_bits <= kLow) continue;
    for (const std::size_t m : layers[l].matrices) formats[m] = best.high;
  }
  return formats;
}

}  // namespace qloft::plan
