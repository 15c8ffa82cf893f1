#pragma once
// In which numbers a model's caches keep keys and values (qloft/backend/cache_type.h).

#include "qloft/backend/cache_type.h"

namespace qloft::model {

using backend::cache_type_from_name;
using backend::CacheType;
using backend::kCacheTypeNames;

}  // namespace qloft::model
