#pragma once
// In which numbers a model keeps caches and factors (qloft/backend/stored_type.h).

#include "qloft/backend/stored_type.h"

namespace qloft::model {

using backend::fastest_factors;
using backend::kStoredTypeNames;
using backend::stored_type_from_name;
using backend::StoredType;

}  // namespace qloft::model
