#include "layout.h"
#include "qloft/kernels.h"

namespace qloft::kernels {

std::vector<std::array<CodeField, kGroup>> code_fields(int bits) {
  std::vector<std::array<CodeField, kGroup>> out;
  int first_byte = 0, to = 0;
  const auto add_plane = [&](int width, auto field) {
    std::array<CodeField, kGroup>& plane = out.emplace_back();
    for (int element = 0; element < kGroup; ++element) {
      const Field place = field(element);
      plane[static_cast<std::size_t>(element)] = {first_byte + place.byte, place.shift, width, to};
    }
    first_byte += 4 * width;
    to += width;
  };
  const Planes planes = planes_of(bits);
  if (planes.eight) add_plane(8, [](int element) { return Field{element, 0}; });
  if (planes.four) add_plane(4, four_field);
  if (planes.two) add_plane(2, two_field);
  if (planes.one) add_plane(1, one_field);
  return out;
}

}  // namespace qloft::kernels
