#include "codebooks/linspace.h"
#include "codebooks/row.h"

namespace qloft::quant {
namespace {

std::vector<float> equidistant_values(const Format& format) {
  return linspace(-1.f, 1.f, 1 << format.bits);
}

}  // namespace

constinit const CodebookRow kUniform = {.name = "uniform",
                                        .bits = {1, 8},
                                        .values = equidistant_values,
                                        .block_scale = symmetric_scale};

}  // namespace qloft::quant
