// Names of the checkpoints in RUN/checkpoints (checkpoint/folder.hpp says which others there are).
// Local.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::framework::run {

inline constexpr std::string_view kFormer = ".former";

std::string checkpoint_name(std::int64_t step);
std::int64_t step_of(std::string const& name);
/// Tells whether the name is step-DIGITS and nothing else.
bool is_checkpoint(std::string_view name);
/// The name before `ending`; empty if it ends otherwise.
std::string_view without(std::string_view name, std::string_view ending);
/// Names of the checkpoints in the folder, newest first; a former one where its successor never got
/// the name. None if there is no folder; throws InputError if it cannot be read.
std::vector<std::string> list_checkpoints(std::string const& folder);

} // namespace trireme::framework::run
