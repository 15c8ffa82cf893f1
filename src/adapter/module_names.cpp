#include "module_names.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>

namespace qloft::adapter {
namespace {

using architecture::Layout;
using architecture::Parameter;
using architecture::Piece;

constexpr std::string_view kInner = ".base_layer";

std::string without_weight(const std::string& tensor) {
  constexpr std::string_view kWeight = ".weight";
  return tensor.ends_with(kWeight) ? tensor.substr(0, tensor.size() - kWeight.size()) : tensor;
}

std::string container_of(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.'));
}

// What follows the number of the block: "mlp.experts.down".
std::string within_block(const std::string& parameter) {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < parameter.size();) {
    const std::size_t end = std::min(parameter.find('.', at), parameter.size());
    const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    const std::string_view part = std::string_view(parameter).substr(at, end - at);
    if (!part.empty() && std::ranges::all_of(part, is_digit))
      begin = std::min(end + 1, parameter.size());
    at = end + 1;
  }
  return parameter.substr(begin);
}

bool is_targeted(const std::string& parameter, const std::vector<std::string>& targets) {
  return std::ranges::any_of(targets, [&](const std::string& target) {
    return parameter == target || parameter.ends_with("." + target);
  });
}

}  // namespace

ModuleNames::ModuleNames(const Layout& layout) {
  std::map<std::string, std::size_t> index;
  for (const Parameter& parameter : layout.parameters) {
    if (!parameter.is_matrix()) continue;
    const std::string module = parameter.module();
    const std::int64_t rows = parameter.rows();
    for (const architecture::Storage& storage : parameter.storages) {
      std::int64_t first = 0;
      for (const Piece& piece : storage) {
        if (piece.index >= 0) {
          const auto [entry, is_new] = index.emplace(piece.tensor, stacks_.size());
          if (is_new) stacks_.push_back({piece.tensor, {}});
          stacks_[entry->second].modules.push_back(module);
        } else {
          // Factors address [out, in], however a checkpoint stores it.
          const std::int64_t count = storage.size() == 1 ? rows : piece.shape.front();
          others_[without_weight(piece.tensor)] = {module, first, count, rows};
          first += count;
        }
      }
    }
    if (!module.starts_with(layout.prefix) || layout.prefix.empty()) continue;
    for (const std::string& other : layout.other_prefixes) {
      others_.emplace(other + module.substr(layout.prefix.size()),
                      ModuleRows{module, 0, rows, rows});
    }
  }
  for (const Parameter& parameter : layout.parameters) others_.erase(parameter.module());
}

std::optional<ModuleRows> ModuleNames::find(const std::string& name) const {
  const auto found = others_.find(name);
  if (found == others_.end()) return std::nullopt;
  return found->second;
}

std::map<std::string, ExpertStack> ModuleNames::nested(
    const std::vector<ExpertStack>& stacks) const {
  std::map<std::string, ExpertStack> out;
  // From the outermost on, which bears the container's own name.
  for (auto stack = stacks.rbegin(); stack != stacks.rend(); ++stack) {
    std::string name = container_of(stack->parameter);
    while (out.contains(name)) name += kInner;
    out[name] = *stack;
  }
  return out;
}

std::map<std::string, ExpertStack> ModuleNames::targeted(
    const std::vector<std::string>& targets) const {
  std::vector<ExpertStack> chosen;
  std::ranges::copy_if(stacks_, std::back_inserter(chosen), [&](const ExpertStack& stack) {
    return is_targeted(stack.parameter, targets);
  });
  return nested(chosen);
}

std::map<std::string, ExpertStack> ModuleNames::stacked(
    const std::map<std::string, std::int64_t>& ranks, std::vector<std::string>& targets) const {
  std::vector<ExpertStack> chosen;
  std::set<std::string> partly, names;  // ends of names
  for (const ExpertStack& stack : stacks_) {
    const auto first = ranks.find(stack.modules.front());
    const bool whole =
        first != ranks.end() && std::ranges::all_of(stack.modules, [&](const std::string& module) {
          const auto found = ranks.find(module);
          return found != ranks.end() && found->second == first->second;
        });
    if (whole) {
      chosen.push_back(stack);
    } else {
      partly.insert(within_block(stack.parameter));
    }
  }
  for (const ExpertStack& stack : chosen) {
    const std::string end = within_block(stack.parameter);
    names.insert(partly.contains(end) ? stack.parameter : end);
  }
  targets.assign(names.begin(), names.end());
  return nested(chosen);
}

Factors stack_factors(const std::vector<const Factors*>& experts) {
  const auto count = static_cast<std::int64_t>(experts.size());
  const Matrix& a = experts.front()->a;
  const Matrix& b = experts.front()->b;
  Factors out{Matrix(count * a.rows(), a.columns()), Matrix(b.rows(), count * b.columns())};
  for (std::int64_t e = 0; e < count; ++e) {
    const Factors& one = *experts[static_cast<std::size_t>(e)];
    std::ranges::copy(one.a.values(), out.a.data() + e * a.size());
    for (std::int64_t row = 0; row < b.rows(); ++row) {
      for (std::int64_t k = 0; k < b.columns(); ++k) out.b(row, k * count + e) = one.b(row, k);
    }
  }
  return out;
}

Factors factors_of_expert(const Factors& all, std::int64_t expert, std::int64_t experts) {
  const std::int64_t rank = all.a.rows() / experts;
  Factors out{Matrix(rank, all.a.columns()), Matrix(all.b.rows(), rank)};
  std::copy_n(all.a.data() + expert * out.a.size(), out.a.size(), out.a.data());
  for (std::int64_t row = 0; row < out.b.rows(); ++row) {
    for (std::int64_t k = 0; k < rank; ++k) out.b(row, k) = all.b(row, k * experts + expert);
  }
  return out;
}

void add_rows(Factors& factors, const Factors& added, const ModuleRows& rows, double scale,
              double common) {
  const std::int64_t old_rank = factors.a.rows();
  const std::int64_t rank = old_rank + added.a.rows();
  Factors out{Matrix(rank, added.a.columns()), Matrix(rows.all, rank)};
  std::ranges::copy(factors.a.values(), out.a.data());
  std::ranges::copy(added.a.values(), out.a.data() + factors.a.size());
  for (std::int64_t row = 0; row < factors.b.rows(); ++row) {
    for (std::int64_t k = 0; k < old_rank; ++k) out.b(row, k) = factors.b(row, k);
  }
  const auto ratio = static_cast<float>(scale / common);
  for (std::int64_t row = 0; row < added.b.rows(); ++row) {
    for (std::int64_t k = 0; k < added.b.columns(); ++k) {
      out.b(rows.first + row, old_rank + k) = added.b(row, k) * ratio;
    }
  }
  factors = std::move(out);
}

}  // namespace qloft::adapter
