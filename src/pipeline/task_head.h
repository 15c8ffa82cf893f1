#pragma once
// The head that a model must have for a task, where the labels are not the task's own.

#include <filesystem>
#include <optional>
#include <vector>

#include "qloft/architecture.h"
#include "qloft/data/named_columns.h"
#include "qloft/evaluate/task.h"

namespace qloft::pipeline {

// What finetune writes beside an adapter that has a head of its own: the model's config.json with
// that head.
inline constexpr const char* kHeadFile = "config.json";

// The settings of tasks with these columns.
std::vector<evaluate::Setting> settings_of(const evaluate::Task& task,
                                           const data::NamedColumns& columns);
// Throws InputError naming the option that is set and that the task (null: none) does not have.
void expect_own_columns(const evaluate::Task* task, const data::NamedColumns& columns);

// `folder`: of the model. `adapter`: whose own head counts before the model's; nullopt: there is
// none. `learned`: the files that the model is to learn; empty: it has learned. Throws InputError
// for a file without what the head needs.
std::optional<architecture::HeadRequest> head_for(
    const evaluate::Task& task, const std::vector<evaluate::Setting>& settings,
    const std::filesystem::path& folder, const std::optional<std::filesystem::path>& adapter,
    const std::vector<std::filesystem::path>& learned);

// That of an adapter; nullopt: nothing beside it says so.
std::optional<architecture::HeadRequest> adapter_head(const std::filesystem::path& adapter);

}  // namespace qloft::pipeline
