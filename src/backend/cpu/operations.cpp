#include "../operations.h"

#include "attention.h"
#include "cache.h"
#include "elementwise.h"
#include "low_rank.h"
#include "products.h"
#include "statistics.h"

namespace qloft::backend {

const Operations kCpuOperations = {
    .multiply_transposed = multiply_transposed_cpu,
    .multiply_adapted = multiply_adapted_cpu,
    .multiply = multiply_cpu,
    .look_up = look_up_cpu,
    .low_rank = {.add = add_low_rank_cpu, .backward = low_rank_gradients_cpu},
    .rms_norm = rms_norm_cpu,
    .layer_norm = layer_norm_cpu,
    .rotate = rotate_cpu,
    .activate = activate_cpu,
    .gate = gate_cpu,
    .attention = attention_cpu,
    .attention_over_caches = attention_over_caches_cpu,
    .store = store_cpu,
    .read = read_cpu,
    .add_gram = add_gram_cpu,
    .add_products = add_products_cpu,
    .squared_products = squared_products_cpu,
};

}  // namespace qloft::backend
