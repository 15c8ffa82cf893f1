// The table of code books, and their names.

#include <array>

#include "codebooks/row.h"

namespace qloft::quant {
namespace {

// In the order of Codebook.
constexpr std::array kCodebooks = {&kNormalFloat,    &kUniform, &kUniformAsymmetric,
                                   &kLloyd,          &kBinary,  &kTernary,
                                   &kResidualBinary, &kTrellis, &kTrellisShort};
static_assert(kCodebooks.size() == static_cast<std::size_t>(Codebook::trellis_short) + 1);

}  // namespace

const CodebookRow& row_of(Codebook codebook) {
  return *kCodebooks[static_cast<std::size_t>(codebook)];
}

BitRange bit_range(Codebook codebook) {
  return row_of(codebook).bits;
}

std::string_view name(Codebook codebook) {
  const auto i = static_cast<std::size_t>(codebook);
  return i < kCodebooks.size() ? kCodebooks[i]->name : std::string_view();
}

std::optional<Codebook> codebook_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kCodebooks.size(); ++i) {
    if (kCodebooks[i]->name == name) return static_cast<Codebook>(i);
  }
  return std::nullopt;
}

std::vector<std::string_view> codebook_names() {
  std::vector<std::string_view> names;
  names.reserve(kCodebooks.size());
  for (const CodebookRow* row : kCodebooks) names.push_back(row->name);
  return names;
}

}  // namespace qloft::quant
