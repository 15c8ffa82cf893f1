#include "coordinates.h"

namespace qloft::decompose {

Coordinates frobenius_coordinates(const MetricInput&) {
  return {};
}

}  // namespace qloft::decompose
