#include "row_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "codebooks/row.h"
#include "kernel_values.h"
#include "qloft/core/checked.h"

namespace qloft::quant {

static_assert(std::endian::native == std::endian::little, "packed parts are little-endian");

std::int64_t rows_a_task(std::int64_t columns) {
  return std::max<std::int64_t>(1, (std::int64_t{1} << 16) / std::max<std::int64_t>(1, columns));
}

std::int64_t kernel_block(const Format& format, std::int64_t columns) {
  return format.block != 0 ? format.block
                           : round_up<std::int64_t>(columns + 1, 2 * kernels::kGroup);
}

void store_floats(const float* values, std::int64_t count, ElementType type, std::int64_t first,
                  std::span<std::byte> out) {
  std::byte* to = out.data() + static_cast<std::size_t>(first) * byte_size(type);
  for (std::int64_t i = 0; i < count; ++i, to += byte_size(type)) {
    if (type == ElementType::f32) {
      std::memcpy(to, values + i, 4);
    } else {
      const std::uint16_t bits = type == ElementType::bf16 ? BFloat16::from_float(values[i]).bits
                                                           : Float16::from_float(values[i]).bits;
      std::memcpy(to, &bits, 2);
    }
  }
}

void limit_to_type(std::vector<float>& values, ElementType type) {
  if (type != ElementType::f16) return;
  for (float& value : values) value = std::clamp(value, -65504.f, 65504.f);
}

float load_float(std::span<const std::byte> in, ElementType type, std::int64_t i) {
  const std::byte* from = in.data() + static_cast<std::size_t>(i) * byte_size(type);
  if (type == ElementType::f32) {
    float value;
    std::memcpy(&value, from, 4);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, from, 2);
  return type == ElementType::bf16 ? BFloat16{bits}.to_float() : Float16{bits}.to_float();
}

RowReader::RowReader(const PackedMatrix& packed, std::int64_t first_column, std::int64_t columns)
    : packed_(packed),
      table_(kernels::table()),
      second_book_(packed.format().second_level ? &kernel_values(*packed.format().second_level)
                                                : nullptr),
      blocks_(packed.format().blocks_per_row(packed.columns())),
      block_(kernel_block(packed.format(), packed.columns())) {
  const auto buffered = static_cast<std::size_t>(kAtOnce * blocks_);
  const Format& format = packed.format();
  if (format.second_level || format.scale_type != ElementType::f32) scales_.resize(buffered);
  const CodebookRow& codebook = row_of(format.codebook);
  if (codebook.has_offsets) offsets_.resize(buffered);
  // Whole groups, or to the end of the row.
  columns = std::min(round_up(columns, kernels::kGroup), packed.columns() - first_column);
  if (codebook.coding.windows && columns > 0) windows_.emplace(packed, first_column, columns);
  if (format.second_level) {
    if (format.second_level->bits != 8) codes_.resize(buffered);
    second_offset_ = load_float(packed.bytes(3), ElementType::f32, 0);
  }
}

const float* RowReader::floats(std::size_t part, std::int64_t i, float* buffer) const {
  const ElementType type = packed_.format().scale_type;
  const std::byte* from =
      packed_.bytes(part).data() + static_cast<std::size_t>(i * blocks_) * byte_size(type);
  if (type == ElementType::f32) return reinterpret_cast<const float*>(from);
  if (type == ElementType::bf16) {
    table_.bf16_to_f32(reinterpret_cast<const BFloat16*>(from), blocks_, buffer);
  } else {
    for (std::int64_t b = 0; b < blocks_; ++b) {
      buffer[b] = load_float(packed_.bytes(part), type, i * blocks_ + b);
    }
  }
  return buffer;
}

void RowReader::read_second_level(std::int64_t first, std::int64_t count) {
  const SecondLevel& second = *packed_.format().second_level;
  const std::int64_t row_bytes = kernels::packed_bytes(blocks_, second.bits);
  const std::uint8_t* codes =
      reinterpret_cast<const std::uint8_t*>(packed_.bytes(1).data()) + first * row_bytes;
  if (second.bits != 8) {  // whose codes lie one a byte already, row behind row
    for (std::int64_t r = 0; r < count; ++r) {
      table_.unpack(codes + r * row_bytes, blocks_, second.bits, codes_.data() + r * blocks_);
    }
    codes = codes_.data();
  }
  const std::int64_t begin = first * blocks_, end = begin + count * blocks_;
  for (std::int64_t b = begin, at = begin / second.block; b < end; ++at) {
    const float scale = load_float(packed_.bytes(2), second.type, at);
    const std::int64_t next = std::min(end, (at + 1) * second.block);
    table_.decode_scales(*second_book_, codes + (b - begin), next - b, scale, second_offset_,
                         scales_.data() + (b - begin));
    b = next;
  }
}

std::span<const kernels::PackedRow> RowReader::rows(std::int64_t first, std::int64_t count) {
  const Format& format = packed_.format();
  const std::int64_t row_bytes = kernels::packed_bytes(packed_.columns(), format.bits);
  if (format.second_level) read_second_level(first, count);
  const auto* codes = reinterpret_cast<const std::uint8_t*>(packed_.bytes(0).data());
  // In place where they are stored as f32: rows of an adapter's factors hold but a block or two.
  const float* stored = format.second_level || format.scale_type != ElementType::f32
                            ? nullptr
                            : reinterpret_cast<const float*>(packed_.bytes(1).data());
  for (std::int64_t r = 0; r < count; ++r) {
    kernels::PackedRow& row = rows_[static_cast<std::size_t>(r)];
    const std::int64_t i = first + r;
    row.codes = codes + i * row_bytes;
    row.block = block_;
    float* const scales = scales_.data() + r * blocks_;
    row.scales = stored != nullptr     ? stored + i * blocks_
                 : format.second_level ? scales
                                       : floats(1, i, scales);
    if (windows_) row.windows = windows_->row(i);
    if (!offsets_.empty()) row.offsets = floats(2, i, offsets_.data() + r * blocks_);
  }
  return {rows_.data(), static_cast<std::size_t>(count)};
}

}  // namespace qloft::quant
