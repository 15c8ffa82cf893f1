#include "rows.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "codebook.h"
#include "qloft/core/checked.h"

namespace qloft::quant {

static_assert(std::endian::native == std::endian::little, "packed parts are little-endian");

std::int64_t rows_a_task(std::int64_t columns) {
  return std::max<std::int64_t>(1, (std::int64_t{1} << 16) / std::max<std::int64_t>(1, columns));
}

std::int64_t kernel_block(const Format& format, std::int64_t columns) {
  return format.block != 0 ? format.block : round_up<std::int64_t>(columns + 1, 2 * kernels::kGroup);
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

RowReader::RowReader(const PackedMatrix& packed)
    : packed_(packed),
      table_(kernels::table()),
      second_book_(packed.format().second_level ? &codebook_of(*packed.format().second_level)
                                                : nullptr),
      blocks_(packed.format().blocks_per_row(packed.columns())),
      block_(kernel_block(packed.format(), packed.columns())) {}

void RowReader::read_floats(std::size_t part, std::int64_t i, std::vector<float>& buffer,
                            const float*& out) const {
  const ElementType type = packed_.format().scale_type;
  const std::byte* from =
      packed_.bytes(part).data() + static_cast<std::size_t>(i * blocks_) * byte_size(type);
  if (type == ElementType::f32) {
    out = reinterpret_cast<const float*>(from);
    return;
  }
  buffer.resize(static_cast<std::size_t>(blocks_));
  if (type == ElementType::bf16) {
    table_.bf16_to_f32(reinterpret_cast<const BFloat16*>(from), blocks_, buffer.data());
  } else {
    for (std::int64_t b = 0; b < blocks_; ++b) {
      buffer[static_cast<std::size_t>(b)] = load_float(packed_.bytes(part), type, i * blocks_ + b);
    }
  }
  out = buffer.data();
}

void RowReader::read_second_level(std::int64_t i) {
  const SecondLevel& second = *packed_.format().second_level;
  codes_.resize(static_cast<std::size_t>(blocks_));
  scales_.resize(static_cast<std::size_t>(blocks_));
  const std::int64_t row_bytes = kernels::packed_bytes(blocks_, second.bits);
  table_.unpack(reinterpret_cast<const std::uint8_t*>(packed_.bytes(1).data()) + i * row_bytes,
                blocks_, second.bits, codes_.data());
  const float offset = load_float(packed_.bytes(3), ElementType::f32, 0);
  for (std::int64_t b = 0; b < blocks_;) {
    const std::int64_t at = (i * blocks_ + b) / second.block;
    const float scale = load_float(packed_.bytes(2), second.type, at);
    const std::int64_t end = std::min(blocks_, (at + 1) * second.block - i * blocks_);
    const float* values = second_book_->values;
    const std::uint8_t* codes = codes_.data();
    float* scales = scales_.data();
    for (; b < end; ++b) scales[b] = values[codes[b]] * scale + offset;
  }
}

kernels::PackedRow RowReader::row(std::int64_t i) {
  kernels::PackedRow out;
  const Format& format = packed_.format();
  out.codes = reinterpret_cast<const std::uint8_t*>(packed_.bytes(0).data()) +
              i * kernels::packed_bytes(packed_.columns(), format.bits);
  out.block = block_;
  if (format.second_level) {
    read_second_level(i);
    out.scales = scales_.data();
    return out;
  }
  read_floats(1, i, scales_, out.scales);
  if (format.codebook == Codebook::uniform_asymmetric) read_floats(2, i, offsets_, out.offsets);
  return out;
}

}  // namespace qloft::quant
