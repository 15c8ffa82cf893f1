// Scales that are found once for several formats.

#include "qloft/quant/scales.h"

#include <algorithm>

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

TEST(FindScales, RefusesThoseOfAnotherShape) {
  const Format f = format(3, Codebook::nf, ScaleRule::absmax);
  const BlockScales scales = find_scales(normal(2, 64).view(), f);
  EXPECT_THROW(quantize(normal(3, 64).view(), f, scales), InputError);
}

}  // namespace
}  // namespace qloft::quant
