#include "framework/pretrained/config_fields.hpp"

#include "framework/pretrained/harmless_fields.hpp"

namespace trireme::framework::pretrained {

std::int64_t Fields::positive(char const* name) {
    auto const value = get<std::int64_t>(name);
    constexpr std::int64_t kMost = 1 << 30; // products of two sizes do not overflow
    if (value <= 0 || value > kMost)
        refuse(name, value > 0 ? "at most 1073741824" : "a whole number > 0");
    return value;
}

std::int64_t Fields::positive(char const* name, std::int64_t otherwise) {
    seen_.insert(name);
    return has(name) ? positive(name) : otherwise;
}

double Fields::positive_real(char const* name, double otherwise) {
    auto const value = get(name, otherwise);
    if (!(value > 0)) refuse(name, "a number > 0");
    return value;
}

double Fields::probability(char const* name, double otherwise) {
    auto const value = get(name, otherwise);
    if (!(value >= 0 && value < 1)) refuse(name, "a number in [0, 1)");
    return value;
}

std::vector<double> Fields::positive_reals(char const* name, std::int64_t count) {
    seen_.insert(name);
    auto const is_positive = [](Json const& x) {
        return data::JsonKind<double>::holds(x) && x.get<double>() > 0;
    };
    if (!has(name) || !json_[name].is_array() || std::ssize(json_[name]) != count ||
        !std::ranges::all_of(json_[name], is_positive))
        refuse(name, fmt::format("a list of {} numbers > 0", count));
    return json_[name].get<std::vector<double>>();
}

Fields Fields::object(char const* name) {
    static Json const none = Json::object();
    seen_.insert(name);
    if (has(name) && !json_[name].is_object()) refuse(name, "an object");
    return {path_, has(name) ? json_[name] : none, prefix_ + name + "."};
}

void Fields::require(char const* name, Json const& legal) {
    seen_.insert(name);
    if (has(name) && json_[name] != legal) refuse(name, legal.dump());
}

void Fields::refuse(char const* name, std::string const& legal) const {
    throw cluster::InputError(fmt::format("{}: {}{}: {}: legal: {}", path_, prefix_, name,
                                          contains(name) ? data::shown(json_[name]) : "absent",
                                          legal));
}

std::vector<std::string> differing_fields(nlohmann::json const& a, nlohmann::json const& b) {
    std::set<std::string> names;
    std::string const type = a.value("model_type", "");
    for (auto const& json : {a, b})
        for (auto const& [name, value] : json.items())
            if (!is_harmless(type, name) &&
                a.value(name, nlohmann::json()) != b.value(name, nlohmann::json()))
                names.insert(name);
    return {names.begin(), names.end()};
}

void Fields::check_all_known() const {
    std::string const type = prefix_.empty() ? json_.value("model_type", "") : "";
    for (auto const& [name, value] : json_.items())
        if (!seen_.contains(name) && !value.is_null() &&
            (!prefix_.empty() || !is_harmless(type, name)))
            throw cluster::InputError(fmt::format("{}: {}{}: {}: a field this version does not "
                                                  "know, so the model might be computed wrongly",
                                                  path_, prefix_, name, data::shown(value)));
}

} // namespace trireme::framework::pretrained
