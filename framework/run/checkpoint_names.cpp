#include "framework/run/checkpoint_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "cluster/file.hpp"

namespace trireme::framework::run {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kStem = "step-";

} // namespace

bool is_checkpoint(std::string_view name) {
    if (!name.starts_with(kStem) || name.size() == kStem.size()) return false;
    return std::ranges::all_of(name.substr(kStem.size()),
                               [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view without(std::string_view name, std::string_view ending) {
    return name.ends_with(ending) ? name.substr(0, name.size() - ending.size())
                                  : std::string_view();
}

std::string checkpoint_name(std::int64_t step) {
    return fmt::format("{}{:09}", kStem, step);
}

std::int64_t step_of(std::string const& name) {
    std::int64_t step = -1;
    std::from_chars(name.data() + kStem.size(), name.data() + name.size(), step);
    return step;
}

std::vector<std::string> list_checkpoints(std::string const& folder) {
    std::set<std::string, std::greater<>> names, formers;
    for (auto const& name : cluster::list_folder(folder)) {
        std::error_code closed; // to us: it counts, and reading it says why not
        if (!fs::is_directory(folder + "/" + name, closed) && !closed) continue;
        if (is_checkpoint(name)) names.insert(name);
        if (is_checkpoint(without(name, kFormer))) formers.insert(name);
    }
    for (auto const& former : formers)
        if (!names.contains(std::string(without(former, kFormer)))) names.insert(former);
    return {names.begin(), names.end()};
}

} // namespace trireme::framework::run
