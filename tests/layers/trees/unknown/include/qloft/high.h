#pragma once
#include <torch/types.h>

#include "qloft/low.h"
