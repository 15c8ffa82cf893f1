#pragma once
// Parts of a message that do not count in the loss though the message does.

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "qloft/io.h"

namespace qloft::data {

// Whether the message has axolotl's train_detail (or training_detail), and so counts unless it says
// otherwise.
bool has_train_detail(const io::Json& message);

// The parts of its content that train_detail leaves out, as bytes [first, second), ascending: each
// {"begin_offset", "end_offset", "train": false} in characters, the end included, as axolotl counts
// them. What no part names counts. Throws InputError naming the part by `field`.
std::vector<std::pair<std::size_t, std::size_t>> parts_left_out(const io::Json& message,
                                                                const std::string& field);

}  // namespace qloft::data
