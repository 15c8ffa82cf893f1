#pragma once
// What a teacher says of predictions (qloft/backend/divergence.h).

#include "qloft/backend/divergence.h"

namespace qloft::model {

using backend::greatest_of;
using backend::TeacherRows;

}  // namespace qloft::model
