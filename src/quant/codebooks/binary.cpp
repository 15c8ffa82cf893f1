#include "codebooks/row.h"

namespace qloft::quant {
namespace {

std::vector<float> signs(const Format&) {
  return {-1.f, 1.f};
}

}  // namespace

constinit const CodebookRow kBinary = {
    .name = "binary", .bits = {1, 1}, .values = signs, .block_scale = symmetric_scale};

}  // namespace qloft::quant
