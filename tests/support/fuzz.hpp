// Damaged inputs for readers of files that somebody else wrote.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "cluster/error.hpp"

namespace trireme::test {

/// One to four small damages: bytes, pieces taken out, doubled, put elsewhere, and words that parsers stumble over.
class Mutator {
  public:
    std::string operator()(std::string text) {
        for (std::size_t n = 1 + pick(4); n > 0; --n) damage(text);
        return text;
    }

  private:
    std::size_t pick(std::size_t below) { return below ? random_() % below : 0; }
    void damage(std::string& text) {
        static std::vector<std::string> const words{"[",
                                                    "{",
                                                    "}",
                                                    "]",
                                                    "\"",
                                                    ":",
                                                    ",",
                                                    "-",
                                                    "null",
                                                    "true",
                                                    "0",
                                                    "-1",
                                                    "1e999",
                                                    "9223372036854775807",
                                                    "18446744073709551616",
                                                    ".nan",
                                                    "[[[[[[[[",
                                                    "&a ",
                                                    "*a",
                                                    "- ",
                                                    "\n",
                                                    "  ",
                                                    "\t",
                                                    "\\u0000",
                                                    "\xff",
                                                    "!!",
                                                    "? ",
                                                    "|",
                                                    ">",
                                                    "%YAML",
                                                    "---",
                                                    "\"a\":",
                                                    std::string(1, '\0'),
                                                    "2.5",
                                                    "../",
                                                    "<<: "};
        std::size_t const at = pick(text.size()), length = std::min(text.size() - at, 1 + pick(12));
        switch (pick(5)) {
        case 0:
            if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << pick(8)));
            break;
        case 1: text.erase(at, length); break;
        case 2: text.insert(at, text.substr(at, length)); break;
        case 3: text.insert(pick(text.size()), text.substr(at, length)); break;
        default: text.replace(at, pick(2) ? length : 0, words[pick(words.size())]);
        }
    }
    std::mt19937 random_{20240607};
};

/// Tries of each reader: TRIREME_FUZZ_INPUTS, else 3,000 or what two seconds are enough for.
inline int fuzz_inputs() {
    char const* const asked = std::getenv("TRIREME_FUZZ_INPUTS");
    return asked ? std::stoi(asked) : 3000;
}

/// JSON that stays JSON: one to three values replaced by others, taken out or put in a second place.
class JsonMutator {
  public:
    std::string operator()(std::string const& text) {
        auto json = nlohmann::ordered_json::parse(text);
        for (std::size_t n = 1 + random_() % 3; n > 0; --n) damage(json);
        return json.dump();
    }

  private:
    nlohmann::ordered_json value(nlohmann::ordered_json const& old) {
        static std::vector<nlohmann::ordered_json> const values{nullptr,    true,
                                                                false,      0,
                                                                1,          -1,
                                                                5,          1e300,
                                                                INT64_MAX,  UINT64_MAX,
                                                                2147483648, 0.5,
                                                                "",         "a",
                                                                "\u0001\n", std::string(70'000, 'a'),
                                                                "[UNK]",    nlohmann::ordered_json::array(),
                                                                {1, "a"},   nlohmann::ordered_json::object()};
        std::size_t const at = random_() % (values.size() + 2);
        if (at < values.size()) return values[at];
        return at == values.size() ? nlohmann::ordered_json::array({old}) : nlohmann::ordered_json{{"a", old}};
    }
    void damage(nlohmann::ordered_json& json) {
        if (!json.is_structured() || json.empty() || random_() % 8 == 0) {
            json = value(json);
            return;
        }
        std::size_t const at = random_() % json.size();
        auto const member = std::next(json.begin(), static_cast<std::ptrdiff_t>(at));
        if (random_() % 16 == 0)
            json.erase(member);
        else if (random_() % 16 == 0 && json.is_array())
            json.push_back(nlohmann::ordered_json(*member));
        else
            damage(*member);
    }
    std::mt19937 random_{20240607};
};

/// Damages `good` with `mutate`: `read` reads it, or throws InputError of one line, and neither always nor never.
template <typename Mutate>
void fuzz_with(Mutate mutate, std::string const& good, std::function<void(std::string const&)> const& read,
               int inputs) {
    int refused = 0, tried = 0;
    ASSERT_NO_THROW(read(good));
    auto const end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    bool const hurried = !std::getenv("TRIREME_FUZZ_INPUTS");
    for (; tried < inputs && (!hurried || std::chrono::steady_clock::now() < end); ++tried) {
        std::string const bad = mutate(good);
        try {
            read(bad);
        } catch (cluster::InputError const& error) {
            ++refused;
            ASSERT_EQ(cluster::line_of(error).find('\n'), std::string::npos);
        } catch (std::exception const& error) {
            FAIL() << error.what() << "\nfor:\n" << bad;
        }
    }
    EXPECT_GT(refused, tried / 10);
    EXPECT_LT(refused, tried);
    std::printf("%d inputs, %d refused\n", tried, refused);
}

inline void fuzz(std::string const& good, std::function<void(std::string const&)> const& read,
                 int inputs = fuzz_inputs()) {
    fuzz_with(Mutator(), good, read, inputs);
}

/// As text and as JSON, by halves.
inline void fuzz_json(std::string const& good, std::function<void(std::string const&)> const& read,
                      int inputs = fuzz_inputs()) {
    fuzz_with(Mutator(), good, read, inputs / 2);
    fuzz_with(JsonMutator(), good, read, inputs / 2);
}

/// A file that is cut to nothing and written again waits for the disk on some file systems: a new one does not.
inline void put(std::string const& path, std::string const& text) {
    std::filesystem::remove(path);
    std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

} // namespace trireme::test
