// Builds a JSON value from the events of nlohmann's parser. The library's own way, a parser with a
// callback, searches the whole list or object again at the end of each object in it: a list of
// 100,000 objects took half a minute.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "cluster/error.hpp"

namespace trireme::data {

/// nesting of objects and lists that is taken; libraries recurse into them
inline constexpr int kDeepestJson = 64;

/// A text that ends too early, or is no JSON at all.
class JsonSyntaxError : public cluster::InputError {
  public:
    using InputError::InputError;
};

/// Says where a JSON text comes from, for messages. All functions throw InputError.
struct JsonPlace {
    std::string const& path;
    std::string_view text;
    /// line of the file, if the text is one line of it; 0: the whole file
    std::int64_t first_line;

    /// "PATH:LINE:COLUMN"; `byte`: of the text, from 0.
    std::string at(std::size_t byte) const;
    /// "PATH: what", or "PATH:LINE: what" in a file of lines.
    [[noreturn]] void refuse(std::string const& what) const;
    /// Throws JsonSyntaxError with what the parser says, at `end`, the bytes that it has read;
    /// `token` is the last of them.
    [[noreturn]] void refuse_syntax(std::size_t end, std::string const& token,
                                    nlohmann::json::exception const& error) const;
    /// `digits`: a number that 64 bits do not hold.
    void check_large_number(double value, std::string const& digits) const;
};

/// Builds `root` in a time linear in the text, also of nlohmann::ordered_json, which looks for each
/// key in a list.
template <typename Json>
class JsonBuilder : public nlohmann::json_sax<Json> {
  public:
    using typename nlohmann::json_sax<Json>::number_integer_t;
    using typename nlohmann::json_sax<Json>::number_unsigned_t;
    using typename nlohmann::json_sax<Json>::number_float_t;
    using typename nlohmann::json_sax<Json>::string_t;
    using typename nlohmann::json_sax<Json>::binary_t;

    explicit JsonBuilder(JsonPlace const& place) : place_(place) {}
    Json root;

    bool null() override { return put(nullptr); }
    bool boolean(bool value) override { return put(value); }
    bool number_integer(number_integer_t value) override { return put(value); }
    bool number_unsigned(number_unsigned_t value) override { return put(value); }
    bool number_float(number_float_t value, string_t const& digits) override {
        if (digits.find_first_of(".eE") == string_t::npos) place_.check_large_number(value, digits);
        return put(value);
    }
    bool string(string_t& value) override { return put(std::move(value)); }
    bool binary(binary_t& /*value*/) override { return false; } // not in text
    bool key(string_t& value) override {
        if (!keys_.back().insert(value).second)
            place_.refuse(
                fmt::format("key \"{}\" is given twice in one object; legal: once", value));
        key_ = std::move(value);
        return true;
    }
    bool start_object(std::size_t /*size*/) override {
        keys_.emplace_back();
        return open(Json::object());
    }
    bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
    bool end_object() override {
        keys_.pop_back();
        return close();
    }
    bool end_array() override { return close(); }
    bool parse_error(std::size_t end, std::string const& token,
                     nlohmann::json::exception const& error) override {
        place_.refuse_syntax(end, token, error);
    }

  private:
    Json* add(Json&& value) {
        if (open_.empty()) {
            root = std::move(value);
            return &root;
        }
        if (open_.back()->is_array()) {
            open_.back()->push_back(std::move(value));
            return &open_.back()->back();
        }
        auto& object = open_.back()->template get_ref<typename Json::object_t&>();
        // a list of members: the key is new
        if constexpr (requires { object.emplace_back(key_, std::move(value)); })
            return &object.emplace_back(std::move(key_), std::move(value)).second;
        else
            return &object.emplace(std::move(key_), std::move(value)).first->second;
    }
    bool put(Json&& value) {
        add(std::move(value));
        return true;
    }
    bool open(Json&& value) {
        if (open_.size() == kDeepestJson)
            place_.refuse(
                fmt::format("nested deeper than the {} levels that are legal", kDeepestJson));
        open_.push_back(add(std::move(value)));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    JsonPlace place_;
    std::vector<Json*> open_; ///< lists and objects around the next value
    std::vector<std::unordered_set<std::string>> keys_;
    std::string key_;
};

} // namespace trireme::data
