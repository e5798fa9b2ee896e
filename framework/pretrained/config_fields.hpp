// Reads the fields of a config.json, and remembers which, so that what nobody read can be refused.
#pragma once
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "cluster/error.hpp"
#include "data/json.hpp"

namespace trireme::framework::pretrained {

using Json = nlohmann::ordered_json;

/// A view: path and JSON object outlive it. null counts as absent, as in transformers, unless said
/// otherwise. All throw InputError "PATH: FIELD: VALUE: legal: ...".
class Fields {
  public:
    Fields(std::string path, Json const& object, std::string prefix = "")
        : path_(std::move(path)), json_(object), prefix_(std::move(prefix)) {}

    bool contains(char const* name) const { return json_.contains(name); } ///< null counts as there
    bool has(char const* name) const { return contains(name) && !json_[name].is_null(); }

    bool empty() const { return json_.empty(); }
    /// True if no other names than these are in the object.
    bool holds_only(std::initializer_list<char const*> names) const {
        return std::ranges::all_of(json_.items(), [&](auto const& item) {
            return std::ranges::any_of(names, [&](char const* name) { return item.key() == name; });
        });
    }

    template <typename T>
    T get(char const* name) {
        seen_.insert(name);
        if (!has(name))
            throw cluster::InputError(fmt::format("{}: {}{}: missing; legal: {}", path_, prefix_,
                                                  name, data::JsonKind<T>::name));
        return convert<T>(name);
    }
    template <typename T>
    T get(char const* name, T otherwise) {
        seen_.insert(name);
        return has(name) ? convert<T>(name) : otherwise;
    }
    std::int64_t positive(char const* name);
    std::int64_t positive(char const* name, std::int64_t otherwise);
    double positive_real(char const* name, double otherwise);
    double probability(char const* name, double otherwise); ///< in [0, 1)
    /// `count` numbers > 0.
    std::vector<double> positive_reals(char const* name, std::int64_t count);
    /// The fields of an object inside this one; none if it is absent. Whoever reads them calls
    /// check_all_known on it.
    Fields object(char const* name);

    /// A field whose other values would compute something else than we do.
    void require(char const* name, Json const& legal);
    /// Fields that change nothing in what is computed, whatever they hold.
    void ignore(std::initializer_list<char const*> names) {
        seen_.insert(names.begin(), names.end());
    }
    [[noreturn]] void refuse(char const* name, std::string const& legal) const;
    void check_all_known() const;

  private:
    template <typename T>
    T convert(char const* name) {
        Json const& value = json_[name];
        if (!data::JsonKind<T>::holds(value)) refuse(name, data::JsonKind<T>::name);
        return value.template get<T>();
    }

    std::string path_;
    Json const& json_;
    std::string prefix_;
    std::set<std::string> seen_;
};

/// Names of the fields that differ between two config.json and change what is computed, in order of
/// name.
std::vector<std::string> differing_fields(nlohmann::json const& a, nlohmann::json const& b);

} // namespace trireme::framework::pretrained
