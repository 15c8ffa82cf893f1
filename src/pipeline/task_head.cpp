#include "task_head.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "qloft/core/error.h"
#include "qloft/core/options.h"
#include "qloft/io.h"

namespace qloft::pipeline {
namespace fs = std::filesystem;
namespace {

std::optional<architecture::HeadRequest> head_in(const fs::path& config) {
  return architecture::own_head(architecture::read_layout(io::read_json(config), config));
}

bool takes(const evaluate::Task* task, std::string_view flags) {
  return task != nullptr &&
         std::ranges::any_of(task->settings, [&](const auto& one) { return one.flags == flags; });
}

}  // namespace

std::vector<evaluate::Setting> settings_of(const evaluate::Task& task,
                                           const data::NamedColumns& columns) {
  std::vector<evaluate::Setting> settings = evaluate::all_settings();
  if (takes(&task, "--text-column")) {
    evaluate::set(settings, "text_column", columns.text);
    evaluate::set(settings, "label_column", columns.label);
    evaluate::set(settings, "labels", columns.labels);
  }
  return settings;
}

void expect_own_columns(const evaluate::Task* task, const data::NamedColumns& columns) {
  const std::array<std::pair<const char*, bool>, 3> given = {
      {{"--text-column", !columns.text.empty()},
       {"--label-column", !columns.label.empty()},
       {"--labels", !columns.labels.empty()}}};
  for (const auto& [flags, is_set] : given) {
    if (!is_set || takes(task, flags)) continue;
    throw InputError({{}, option_name(flags)},
                     std::string("expected it with the task classification") +
                         (std::string_view(flags) == "--labels" ? "" : " or regression"));
  }
  data::expect_sound(columns);
}

std::optional<architecture::HeadRequest> adapter_head(const fs::path& adapter) {
  std::error_code error;
  if (!fs::is_regular_file(adapter / kHeadFile, error)) return std::nullopt;
  using architecture::HeadKind;
  const auto head = head_in(adapter / kHeadFile);
  // Trainers leave the config.json of the base there, which says nothing of the adapter.
  const bool own = head && head->kind != HeadKind::states && head->kind != HeadKind::masked_token;
  return own ? head : std::nullopt;
}

std::optional<architecture::HeadRequest> head_for(const evaluate::Task& task,
                                                  const std::vector<evaluate::Setting>& settings,
                                                  const fs::path& folder,
                                                  const std::optional<fs::path>& adapter,
                                                  const std::vector<fs::path>& learned) {
  if (task.find_head == nullptr) return task.head;
  evaluate::HeadSource source{std::nullopt, folder / "config.json", learned};
  if (adapter) source.own = adapter_head(*adapter);
  if (source.own) {
    source.file = *adapter / kHeadFile;
  } else {
    source.own = head_in(source.file);
  }
  return evaluate::head_of(task, settings, source);
}

}  // namespace qloft::pipeline
