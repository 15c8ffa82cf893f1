#pragma once
// backend: weights, and what is done with them and with activations, by a table of operations a
// device. Gradients flow through every operation unless it says otherwise.

#include "qloft/backend/activation.h"
#include "qloft/backend/attention.h"
#include "qloft/backend/cache.h"
#include "qloft/backend/cross_entropy.h"
#include "qloft/backend/divergence.h"
#include "qloft/backend/linear.h"
#include "qloft/backend/norm.h"
#include "qloft/backend/rotate.h"
#include "qloft/backend/tensor.h"
#include "qloft/backend/weight.h"
