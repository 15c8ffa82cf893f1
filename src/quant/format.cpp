#include <algorithm>
#include <array>
#include <string>

#include "codebooks/row.h"
#include "qloft/core/checked.h"
#include "qloft/kernels.h"
#include "qloft/quant.h"

namespace qloft::quant {
namespace {

constexpr std::array<std::string_view, 3> kScaleRules = {"absmax", "mse", "deviation"};
constexpr std::array<std::string_view, 2> kScaleCodes = {"dynamic", "uniform"};

template <typename Enum, std::size_t N>
std::optional<Enum> find_name(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

void require(bool holds, std::string_view field, const std::string& expected,
             const std::string& found) {
  if (!holds) {
    throw InputError({{}, std::string(field)}, "expected " + expected + ", found " + found);
  }
}

void check_block(std::int64_t block, std::string_view field, bool whole_rows) {
  const bool fits = block >= 16 && block <= 4096 && block % 16 == 0;
  require(fits || (whole_rows && block == 0), field,
          whole_rows ? "a multiple of 16 from 16 to 4096, or 0 for one block a row"
                     : "a multiple of 16 from 16 to 4096",
          std::to_string(block));
}

void check_type(ElementType type, std::string_view field) {
  require(type == ElementType::f32 || type == ElementType::bf16 || type == ElementType::f16, field,
          "f32, bf16 or f16", std::string(short_name(type)));
}

Part part(std::string_view suffix, ElementType type, std::vector<std::int64_t> shape) {
  Part p{suffix, type, std::move(shape), byte_size(type)};
  for (const std::int64_t extent : p.shape) {
    p.bytes = checked_multiply(p.bytes, checked_cast<std::uint64_t>(extent, suffix), suffix);
  }
  return p;
}

}  // namespace

std::string_view name(ScaleRule rule) {
  const auto i = static_cast<std::size_t>(rule);
  return i < kScaleRules.size() ? kScaleRules[i] : std::string_view();
}
std::string_view name(ScaleCode code) {
  const auto i = static_cast<std::size_t>(code);
  return i < kScaleCodes.size() ? kScaleCodes[i] : std::string_view();
}

std::optional<ScaleRule> scale_rule_from_name(std::string_view name) {
  return find_name<ScaleRule>(kScaleRules, name);
}
std::optional<ScaleCode> scale_code_from_name(std::string_view name) {
  return find_name<ScaleCode>(kScaleCodes, name);
}

void Format::validate() const {
  require(!name(codebook).empty(), "codebook", "a known code book",
          std::to_string(static_cast<int>(codebook)));
  require(!name(scale_rule).empty(), "scale", "absmax, mse or deviation",
          std::to_string(static_cast<int>(scale_rule)));
  const CodebookRow& row = row_of(codebook);
  const auto [least, most] = row.bits;
  std::string range = std::to_string(least);
  if (most > least) range += " to " + std::to_string(most);
  require(bits >= least && bits <= most, "bits",
          range + " for the code book " + std::string(row.name), std::to_string(bits));
  require(!row.fitted_only || scale_rule == ScaleRule::mse, "scale",
          "mse for the code book " + std::string(row.name), std::string(name(scale_rule)));
  if (scale_rule == ScaleRule::deviation) {
    require(row.has_offsets, "scale", "absmax or mse for the code book " + std::string(row.name),
            "deviation");
    require(block == 0, "block", "0, one block a row, for the scale deviation",
            std::to_string(block));
  }
  check_block(block, "block", true);
  if (!second_level) {
    check_type(scale_type, "scale_type");
    return;
  }
  require(!row.has_offsets, "second_level", "none with " + std::string(row.name), "one");
  require(!name(second_level->code).empty(), "second_level.code", "dynamic or uniform",
          std::to_string(static_cast<int>(second_level->code)));
  const bool dynamic = second_level->code == ScaleCode::dynamic;
  require(second_level->bits >= (dynamic ? 8 : 2) && second_level->bits <= 8, "second_level.bits",
          dynamic ? "8 for the dynamic code" : "2 to 8", std::to_string(second_level->bits));
  check_block(second_level->block, "second_level.block", false);
  check_type(second_level->type, "second_level.type");
}

std::int64_t Format::blocks_per_row(std::int64_t columns) const {
  if (block == 0) return columns > 0 ? 1 : 0;
  return ceil_divide(columns, block);
}

double Format::bits_per_weight(std::int64_t rows, std::int64_t columns) const {
  std::uint64_t bytes = 0;
  for (const Part& p : parts(*this, rows, columns)) bytes += p.bytes;
  const double elements = static_cast<double>(rows) * static_cast<double>(columns);
  return elements > 0 ? 8.0 * static_cast<double>(bytes) / elements : 0.0;
}

std::string Format::describe() const {
  std::string text(name(codebook));
  if (text.find('-') != std::string::npos) text += ' ';
  const auto [least, most] = bit_range(codebook);
  if (most > least) text += std::to_string(bits);
  text += block == 0 ? " per row " : " block " + std::to_string(block) + " ";
  text += name(scale_rule);
  text += ' ';
  if (!second_level) return text + std::string(short_name(scale_type));
  return text + std::string(name(second_level->code)) + std::to_string(second_level->bits) +
         " block " + std::to_string(second_level->block) + " " +
         std::string(short_name(second_level->type));
}

std::vector<Part> parts(const Format& format, std::int64_t rows, std::int64_t columns) {
  format.validate();
  require(rows >= 0 && columns >= 0, "shape", "no negative extent",
          std::to_string(rows) + " x " + std::to_string(columns));
  checked_multiply<std::int64_t>(columns, 8, "columns");
  const std::int64_t blocks = format.blocks_per_row(columns);
  std::vector<Part> out;
  out.push_back(
      part("codes", ElementType::u8, {rows, kernels::packed_bytes(columns, format.bits)}));
  if (!format.second_level) {
    out.push_back(part("scales", format.scale_type, {rows, blocks}));
    if (row_of(format.codebook).has_offsets) {
      out.push_back(part("offsets", format.scale_type, {rows, blocks}));
    }
    return out;
  }
  const SecondLevel& second = *format.second_level;
  const std::int64_t scales = checked_multiply(rows, blocks, "scales");
  out.push_back(
      part("scale_codes", ElementType::u8, {rows, kernels::packed_bytes(blocks, second.bits)}));
  out.push_back(part("scale_scales", second.type, {ceil_divide(scales, second.block)}));
  out.push_back(part("scale_offset", ElementType::f32, {1}));
  return out;
}

PackedMatrix::PackedMatrix(const Format& format, std::int64_t rows, std::int64_t columns)
    : format_(format), rows_(rows), columns_(columns) {
  for (const Part& p : quant::parts(format, rows, columns)) bytes_.emplace_back(p.bytes);
}

std::uint64_t PackedMatrix::stored_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& part_bytes : bytes_) sum += part_bytes.size();
  return sum;
}

}  // namespace qloft::quant
