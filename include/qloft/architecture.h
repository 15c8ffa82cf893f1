#pragma once
// architecture: config.json to a Layout. Needs no torch, so that quantizing starts at once.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qloft/architecture/layout.h"
#include "qloft/io.h"

namespace qloft::architecture {

// The values of config.json's model_type that read_layout knows.
std::vector<std::string_view> families();

// Reads config.json with the fields and defaults that transformers has for its family. Fields that
// transformers has a default for may be missing, sizes may not. Throws InputError naming file and
// field; an unknown model_type lists the known ones.
Layout read_layout(const io::Json& config, const std::filesystem::path& file);

// Throws InputError naming `file`, the layout's config.json, for a model that predicts no next
// tokens: an encoder, or an encoder-decoder.
void expect_next_token(const Layout& layout, const std::filesystem::path& file);

// A head in place of the one that config.json names.
struct HeadRequest {
  HeadKind kind = HeadKind::sequence;
  std::vector<std::string> labels = {};  // of sequences and tokens; spans have two by themselves
  Problem problem = Problem::single_label;
};
// That of an encoder's layout; nullopt: it is none.
std::optional<HeadRequest> own_head(const Layout& layout);
bool has_head(const Layout& layout, const HeadRequest& head);
// Throws InputError naming `file`, the layout's config.json, where it has none.
void expect_head(const Layout& layout, const HeadRequest& head, const std::filesystem::path& file);
// `config`, which `layout` was read from, as transformers writes it for a model with that head.
// Throws InputError naming `file` for a family that has no such head.
io::Json with_head(io::Json config, const Layout& layout, const HeadRequest& head,
                   const std::filesystem::path& file);

}  // namespace qloft::architecture
