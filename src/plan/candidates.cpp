#include "qloft/plan.h"

namespace qloft::plan {
namespace {

using quant::Codebook;
using quant::Format;
using quant::ScaleCode;
using quant::ScaleRule;
using quant::SecondLevel;

// Guo et al. 2023, section 3.2.
std::vector<Format> lq_lora() {
  std::vector<Format> out;
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t block : {16, 32, 64}) {
      for (const int second_bits : {2, 3, 4, 8}) {
        for (const std::int64_t second_block : {16, 64, 256}) {
          for (const ElementType type : {ElementType::bf16, ElementType::f16, ElementType::f32}) {
            out.push_back(
                {.bits = bits,
                 .codebook = Codebook::nf,
                 .block = block,
                 .scale_rule = ScaleRule::absmax,
                 .scale_type = ElementType::f32,
                 .second_level = SecondLevel{second_bits, second_block, type, ScaleCode::uniform}});
          }
        }
      }
    }
  }
  return out;
}

// A fitted scale takes up what a coarse code of the scales loses, so two widths of it are enough;
// codes of 7 bits lie between neighbours that no budget tells apart.
std::vector<Format> wide() {
  struct Code {
    Codebook codebook;
    int bits;
  };
  constexpr Code kCodes[] = {{Codebook::binary, 1}, {Codebook::ternary, 2}, {Codebook::lloyd, 2},
                             {Codebook::lloyd, 3},  {Codebook::lloyd, 4},   {Codebook::lloyd, 5},
                             {Codebook::lloyd, 6},  {Codebook::lloyd, 8}};
  std::vector<Format> out;
  for (const Code code : kCodes) {
    for (const std::int64_t block : {16, 32, 64, 128, 256}) {
      Format format{.bits = code.bits,
                    .codebook = code.codebook,
                    .block = block,
                    .scale_rule = ScaleRule::mse,
                    .scale_type = ElementType::bf16,
                    .second_level = {}};
      out.push_back(format);
      for (const int second_bits : {8, 4}) {
        format.scale_type = ElementType::f32;
        format.second_level = SecondLevel{second_bits, 64, ElementType::bf16, ScaleCode::uniform};
        out.push_back(format);
      }
    }
  }
  return out;
}

// Trellis codes as the preset qloft stores them, with scalar codes where a matrix wants more.
std::vector<Format> trellis(Codebook codebook) {
  std::vector<Format> out;
  for (const int bits : {1, 2, 3, 4, 6, 8}) {
    out.push_back({.bits = bits,
                   .codebook = bits <= 4 ? codebook : Codebook::lloyd,
                   .block = 32,
                   .scale_rule = ScaleRule::mse,
                   .scale_type = ElementType::f32,
                   .second_level = SecondLevel{4, 256, ElementType::bf16, ScaleCode::uniform}});
  }
  return out;
}

// Lloyd-Max at 2 bits, NF above, scales by double quantization (docs/methods/auto.md).
std::vector<Format> automatic() {
  std::vector<Format> out;
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    out.push_back({.bits = bits,
                   .codebook = bits <= 2 ? Codebook::lloyd : Codebook::nf,
                   .block = 64,
                   .scale_rule = bits <= 2 ? ScaleRule::mse : ScaleRule::absmax,
                   .scale_type = ElementType::f32,
                   .second_level = SecondLevel{}});
  }
  return out;
}

}  // namespace

const std::vector<CandidateSet>& candidate_sets() {
  static const std::vector<CandidateSet> sets = {
      {"lq-lora", "LQ-LoRA's grid: NF, double quantization", lq_lora()},
      {"wide", "Lloyd-Max, ternary, binary; fitted scales", wide()},
      {"trellis", "trellis codes of 1 to 4 bits, Lloyd-Max of 6 and 8", trellis(Codebook::trellis)},
      {"trellis-short", "the same with short windows", trellis(Codebook::trellis_short)},
      {"auto", "what the method auto takes without data, width by width", automatic()},
  };
  return sets;
}

}  // namespace qloft::plan
