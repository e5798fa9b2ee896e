#include "launch/text/tasks/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cluster/error.hpp"

namespace trireme::launch::text {

namespace po = boost::program_options;

namespace {

std::string task_list(std::vector<std::string> const& tasks) {
    return fmt::format("{}", fmt::join(tasks, ", "));
}

} // namespace

bool TaskOptions::Option::belongs_to(std::string const& task) const {
    return std::ranges::any_of(meanings, [&](auto const& meaning) {
        return std::ranges::find(meaning.tasks, task) != meaning.tasks.end();
    });
}

std::string TaskOptions::Option::help() const {
    std::string text;
    for (auto const& [tasks, help] : meanings)
        text += (text.empty() ? "" : "; ") + task_list(tasks) + ": " + help;
    return text;
}

void TaskOptions::add(Option option, std::string const& help) {
    auto found = std::ranges::find(options_, option.name, &Option::name);
    if (found == options_.end()) found = options_.insert(options_.end(), std::move(option));
    auto meaning = std::ranges::find(found->meanings, help, &Meaning::help);
    if (meaning == found->meanings.end())
        meaning = found->meanings.insert(found->meanings.end(), Meaning{{}, help});
    meaning->tasks.push_back(task_);
}

void TaskOptions::word(std::string const& name, std::string const& value, std::string const& help) {
    add({name, value, Takes::word}, help);
}
void TaskOptions::words(std::string const& name, std::string const& value,
                        std::string const& help) {
    add({name, value, Takes::words}, help);
}
void TaskOptions::flag(std::string const& name, std::string const& help) {
    add({name, "", Takes::nothing}, help);
}

void TaskOptions::add_to(po::options_description& options, PrepareOptions& o) const {
    auto const semantic = [&](Option const& option) -> po::value_semantic* {
        auto& own = o.own;
        auto const& name = option.name;
        switch (option.takes) {
        case Takes::nothing:
            return po::bool_switch()->notifier([&own, name](bool given) {
                if (given) own[name] = {};
            });
        case Takes::word:
            return po::value<std::string>()
                ->value_name(option.value)
                ->notifier([&own, name](std::string const& word) { own[name] = {word}; });
        case Takes::words:
            return po::value<std::vector<std::string>>()
                ->multitoken()
                ->value_name(option.value)
                ->notifier([&own, name](auto const& words) { own[name] = words; });
        }
        return nullptr;
    };
    for (auto const& option : options_)
        options.add_options()(option.name.c_str(), semantic(option), option.help().c_str());
}

void TaskOptions::check(PrepareOptions const& o, char const* whose) const {
    for (auto const& option : options_) {
        if (!o.given(option.name) || option.belongs_to(o.task_name())) continue;
        std::vector<std::string> legal;
        for (auto const& meaning : option.meanings)
            legal.insert(legal.end(), meaning.tasks.begin(), meaning.tasks.end());
        throw cluster::InputError(
            fmt::format("--{}: legal with {} {}", option.name, whose, task_list(legal)));
    }
}

} // namespace trireme::launch::text
