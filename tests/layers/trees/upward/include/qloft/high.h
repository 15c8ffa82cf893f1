#pragma once
#include <ATen/core/Tensor.h>

#include "qloft/low.h"
