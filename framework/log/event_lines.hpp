// The events of a run's metrics.jsonl, as its readers take them. Local.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "data/json.hpp"

namespace trireme::framework::log {

/// One line of the file: an object with a text "kind". Every value that is asked for is what it
/// should be, absent or null (as numbers that are not finite are written); else InputError
/// "PATH:LINE: NAME: VALUE: legal: ...".
class EventLine {
  public:
    /// seconds from 1970 to the end of the year 9999
    static constexpr double kLatest = 253402300799;
    static constexpr std::int64_t kMostExitCode = 255; ///< of a process

    /// Throws InputError for what is no event.
    EventLine(std::string const& path, std::int64_t line, nlohmann::ordered_json json);

    nlohmann::ordered_json const& json() const { return json_; }
    std::string const& kind() const { return kind_; }
    bool has(char const* name) const { return json_.contains(name) && !json_[name].is_null(); }
    /// Returns a number from `least` to `most`; `otherwise` if absent.
    double number(char const* name, double least, double most, double otherwise = 0) const;
    std::int64_t whole(char const* name, std::int64_t least, std::int64_t most,
                       std::int64_t otherwise = 0) const;
    double time() const { return number("time", 0, kLatest); }
    double seconds() const { return number("seconds", 0, kLatest); }
    /// A count of steps: small enough for a double to hold it.
    std::int64_t steps(char const* name) const { return whole(name, 0, INT64_C(1) << 53); }
    std::string text(char const* name) const; ///< one line; empty if absent

  private:
    template <typename T>
    T value(char const* name, char const* legal, T least, T most, T otherwise) const;

    std::string place_;
    nlohmann::ordered_json json_;
    std::string kind_;
};

/// Calls `each` for the events of RUN/metrics.jsonl in order; for none if there is no such file. A
/// line that is not JSON is passed over, since a run that is killed, or whose node loses power,
/// leaves a torn one. Throws InputError for JSON that is no event, and for anything but a regular
/// file that can be read.
void read_events(std::string const& run, std::function<void(EventLine const&)> const& each);

} // namespace trireme::framework::log
