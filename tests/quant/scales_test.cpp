// Scales that are found once for several formats.

#include "qloft/quant/scales.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "qloft/core/error.h"
#include "support.h"

namespace qloft::quant {
namespace {

TEST(FindScales, GivesEveryFormatThatSharesThemWhatItFindsAlone) {
  const Matrix w = normal(5, 70);
  int shared = 0;
  for (const Format& a : all_formats()) {
    for (const ScaleRule rule : {ScaleRule::absmax, ScaleRule::mse}) {
      if (!takes(a.codebook, rule)) continue;
      Format found = a;
      found.scale_rule = rule;
      const BlockScales scales = find_scales(w.view(), found);
      for (const Format& b : all_formats()) {
        if (!takes(b.codebook, rule)) continue;
        Format used = b;
        used.scale_rule = rule;
        if (!share_scales(found, used)) continue;
        ++shared;
        const PackedMatrix alone = quantize(w.view(), used);
        const PackedMatrix together = quantize(w.view(), used, scales);
        for (std::size_t p = 0; p < alone.parts().size(); ++p) {
          EXPECT_TRUE(std::ranges::equal(alone.bytes(p), together.bytes(p)))
              << found.describe() << ", " << used.describe();
        }
      }
    }
  }
  EXPECT_GT(shared, static_cast<int>(all_formats().size()));
}

// Li et al. 2023's uniform quantizer, as torch.std has the deviation.
TEST(FindScales, GivesAllRowsTheRangeOfTwoDeviationsAroundTheMean) {
  Matrix w(2, 3);
  const float values[] = {1, 2, 3, 4, 5, 15};  // mean 5, of squares 130 / 5
  std::ranges::copy(values, w.values().begin());
  Format f = format(2, Codebook::uniform_asymmetric, ScaleRule::deviation);
  f.block = 0;
  const BlockScales scales = find_scales(w.view(), f);
  EXPECT_THAT(scales.scales, ::testing::Each(::testing::FloatEq(2 * std::sqrt(26.f))));
  EXPECT_THAT(scales.offsets, ::testing::Each(5.f));
  const float low = 5 - 2 * std::sqrt(26.f), step = 4 * std::sqrt(26.f) / 3;
  Matrix read(2, 3);
  dequantize(quantize(w.view(), f), read.view());
  EXPECT_NEAR(read(0, 0), low + step, 1e-5);
  EXPECT_NEAR(read(1, 2), low + 3 * step, 1e-5);
}

TEST(FindScales, OfDeviationsNeedOffsetsAndOneBlockARow) {
  Format f = format(2, Codebook::uniform_asymmetric, ScaleRule::deviation);
  f.block = 64;
  EXPECT_THROW(f.validate(), InputError);
  f.block = 0;
  f.validate();
  f.codebook = Codebook::nf;
  EXPECT_THROW(f.validate(), InputError);
}

TEST(FindScales, RefusesThoseOfAnotherShape) {
  const Format f = format(3, Codebook::nf, ScaleRule::absmax);
  const BlockScales scales = find_scales(normal(2, 64).view(), f);
  EXPECT_THROW(quantize(normal(3, 64).view(), f, scales), InputError);
}

}  // namespace
}  // namespace qloft::quant
