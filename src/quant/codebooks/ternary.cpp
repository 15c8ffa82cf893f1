#include "codebooks/row.h"

namespace qloft::quant {
namespace {

std::vector<float> signs_and_zero(const Format&) {
  return {-1.f, 0.f, 1.f};
}

}  // namespace

constinit const CodebookRow kTernary = {
    .name = "ternary", .bits = {2, 2}, .values = signs_and_zero, .block_scale = symmetric_scale};

}  // namespace qloft::quant
