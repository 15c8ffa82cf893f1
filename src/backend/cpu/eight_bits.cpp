// A dense matrix packed in 8 bits.
#include "../eight_bits.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "products.h"
#include "qloft/core/matrix.h"
#include "qloft/core/threads.h"

namespace qloft::backend {
namespace {

// Rows that are held as f32 at a time.
constexpr std::int64_t kPiece = 4096;

}  // namespace

Weight in_eight_bits(const Weight& weight) {
  const Dense& dense = weight.dense();
  if (!dense.defined() || !dense.is_cpu() || dense.requires_grad()) return weight;
  const quant::Format format = eight_bits();
  quant::PackedMatrix packed(format, weight.rows(), weight.columns());
  Matrix values(std::min(kPiece, weight.rows()), weight.columns());
  for (std::int64_t first = 0; first < weight.rows(); first += kPiece) {
    const std::int64_t count = std::min(kPiece, weight.rows() - first);
    parallel_for(count, 64, [&](std::int64_t begin, std::int64_t end) {
      float* const out = values.view().row(begin);
      const auto read = read_rows(weight, first + begin, end - begin, out);
      if (read.data != out) std::copy_n(read.data, (end - begin) * read.columns, out);
    });
    const quant::PackedMatrix part =
        quant::quantize(MatrixView<const float>(values.data(), count, values.columns()), format);
    // Every part of a matrix is stored row after row.
    for (std::size_t i = 0; i < part.parts().size(); ++i) {
      const std::size_t at = packed.bytes(i).size() / static_cast<std::size_t>(weight.rows()) *
                             static_cast<std::size_t>(first);
      std::memcpy(packed.bytes(i).data() + at, part.bytes(i).data(), part.bytes(i).size());
    }
  }
  Weight out = weight;
  out.storage = std::make_shared<const quant::PackedMatrix>(std::move(packed));
  return out;
}

}  // namespace qloft::backend
