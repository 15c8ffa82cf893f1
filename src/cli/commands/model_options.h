#pragma once

#include "../options.h"
#include "qloft/pipeline/option_lists.h"

namespace qloft::cli {

// The positional MODEL of every command.
inline void add_model_argument(CLI::App& app, std::string& model) {
  app.add_option("MODEL", model, "a folder in Hugging Face layout, or a hub name org/name")
      ->required()
      ->type_name("");
}

}  // namespace qloft::cli
