#include "framework/log/event_lines.hpp"

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/line_reader.hpp"

namespace trireme::framework::log {

namespace {

constexpr std::int64_t kMostBytes = INT64_C(1) << 36; ///< some hundred million events

} // namespace

EventLine::EventLine(std::string const& path, std::int64_t line, nlohmann::ordered_json json)
    : place_(fmt::format("{}:{}", path, line)), json_(std::move(json)) {
    if (!json_.is_object() || !json_.contains("kind") || !json_["kind"].is_string())
        throw cluster::InputError(fmt::format("{}: {}: legal: an event, a JSON object with a text "
                                              "\"kind\", as `trireme train` writes them",
                                              place_, data::shown(json_)));
    kind_ = json_["kind"].get<std::string>();
}

template <typename T>
T EventLine::value(char const* name, char const* legal, T least, T most, T otherwise) const {
    if (!has(name)) return otherwise;
    auto const& found = json_[name];
    if (!data::JsonKind<T>::holds(found) || found.template get<T>() < least ||
        found.template get<T>() > most)
        throw cluster::InputError(fmt::format("{}: {}: {}: legal: {} from {} to {}", place_, name,
                                              data::shown(found), legal, least, most));
    return found.template get<T>();
}

double EventLine::number(char const* name, double least, double most, double otherwise) const {
    return value<double>(name, data::JsonKind<double>::name, least, most, otherwise);
}

std::int64_t EventLine::whole(char const* name, std::int64_t least, std::int64_t most,
                              std::int64_t otherwise) const {
    return value<std::int64_t>(name, data::JsonKind<std::int64_t>::name, least, most, otherwise);
}

std::string EventLine::text(char const* name) const {
    if (!has(name)) return "";
    if (!json_[name].is_string())
        throw cluster::InputError(
            fmt::format("{}: {}: {}: legal: a text", place_, name, data::shown(json_[name])));
    return cluster::one_line(json_[name].get<std::string>());
}

void read_events(std::string const& run, std::function<void(EventLine const&)> const& each) {
    std::string const path = run + "/metrics.jsonl";
    if (!cluster::is_there(path)) return;
    cluster::LineReader lines(path, kMostBytes);
    for (std::string line; lines.next(line);) {
        nlohmann::ordered_json json;
        try {
            json = data::parse_json<nlohmann::ordered_json>(path, line, lines.number());
        } catch (data::JsonSyntaxError const&) {
            continue;
        }
        each(EventLine(path, lines.number(), std::move(json)));
    }
}

} // namespace trireme::framework::log
