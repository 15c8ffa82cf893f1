#include "finite.h"

#include <cmath>
#include <string>

#include "qloft/checkpoint/finite.h"

namespace qloft::evaluate {

void expect_finite_weights(const Subject& subject) {
  const checkpoint::Checkpoint& source = subject.source;
  for (const std::string& name : source.names()) {
    if (checkpoint::all_finite(source.bytes(name), source.info(name).type)) continue;
    throw ComputationError({source.folder(), name}, "holds a value that is not finite");
  }
}

void expect_finite(double loss, const ErrorLocation& where) {
  if (!std::isfinite(loss)) throw ComputationError(where, "the loss is not finite");
}

}  // namespace qloft::evaluate
