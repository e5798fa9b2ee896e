// Damaged inputs for readers of files that somebody else wrote.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::test {

/// TRIREME_FUZZ_SEED, else always the same.
inline unsigned fuzz_seed() {
    char const* const asked = std::getenv("TRIREME_FUZZ_SEED");
    return asked ? static_cast<unsigned>(std::stoul(asked)) : 20240607U;
}

/// One to four small damages: bytes, pieces taken out, doubled, put elsewhere, and words that
/// parsers stumble over.
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
    std::mt19937 random_{fuzz_seed()};
};

/// JSON that stays JSON: one to three values replaced by others, taken out or put in a second
/// place.
class JsonMutator {
  public:
    std::string operator()(std::string const& text) {
        if (text != text_) good_ = nlohmann::ordered_json::parse(text_ = text);
        auto json = good_;
        for (std::size_t n = 1 + random_() % 3; n > 0; --n) damage(json);
        return json.dump();
    }

  private:
    nlohmann::ordered_json value(nlohmann::ordered_json const& old) {
        static std::vector<nlohmann::ordered_json> const values{
            nullptr,    true,
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
        return at == values.size() ? nlohmann::ordered_json::array({old})
                                   : nlohmann::ordered_json{{"a", old}};
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
    std::string text_;
    nlohmann::ordered_json good_; ///< what text_ says
    std::mt19937 random_{fuzz_seed()};
};

/// Collects what readers said of damaged inputs, which shows how far the inputs came.
class Rejections {
  public:
    /// Messages that differ in names, numbers and values alone are of one kind: "FIELD: VALUE:
    /// legal: KIND" without VALUE, without what is quoted, without the folder.
    void see(std::string const& message) {
        ++count_;
        std::string kind;
        std::size_t const folder = message.find(kFolder);
        std::size_t at =
            folder == std::string::npos ? 0 : message.find('/', folder + kFolder.size());
        bool quoted = false;
        for (at = at == std::string::npos ? 0 : at; at < message.size(); ++at) {
            char const c = message[at];
            if (c == '"') quoted = !quoted;
            if (quoted) continue;
            bool const digit = c >= '0' && c <= '9';
            if (!digit || kind.empty() || kind.back() != '#') kind += digit ? '#' : c;
        }
        if (auto const legal = kind.find(": legal: "); legal != std::string::npos)
            if (auto const value = kind.rfind(": ", legal - 1);
                value != std::string::npos && value < legal)
                kind.erase(value, legal - value);
        ++kinds_[kind.substr(0, 80)];
    }
    int count() const { return count_; }
    /// Counts kinds that came five times or more: what a message quotes makes further ones.
    std::ptrdiff_t kinds() const {
        return std::ranges::count_if(kinds_, [](auto const& kind) { return kind.second >= 5; });
    }
    static constexpr std::string_view kFolder = "trireme-test-"; ///< of TemporaryFolder

  private:
    int count_ = 0;
    std::map<std::string, int> kinds_;
};

/// How much is tried of each reader.
struct FuzzLimits {
    int inputs = 3000;
    double seconds = 2;

    /// TRIREME_FUZZ_INPUTS, and TRIREME_FUZZ_SECONDS for what they may take; without them 3,000 or
    /// what two seconds are enough for.
    static FuzzLimits asked() {
        char const *const inputs = std::getenv("TRIREME_FUZZ_INPUTS"), *const time = std::getenv(
                                                                           "TRIREME_FUZZ_SECONDS");
        FuzzLimits limits;
        if (inputs) limits = {std::stoi(inputs), 1e9};
        if (time) limits.seconds = std::stod(time);
        return limits;
    }
    FuzzLimits part(int divisor) const { return {inputs / divisor, seconds / divisor}; }
};

/// Seconds of the processor that this thread has had: another process must not make a reader slow.
inline double processor_seconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

inline std::ptrdiff_t open_files() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
}

/// Damages `good` with `mutate`: `read` reads it within two seconds, or throws InputError or
/// JobError of one line with `name` in it, and neither always nor never; no file stays open.
/// Whatever waits for ever is ended by SIGALRM. A slow machine tries fewer inputs in the seconds
/// that it has, but goes on until it has met one that is refused and one that is not.
template <typename Mutate>
void fuzz_with(Mutate mutate, std::string const& good,
               std::function<void(std::string const&)> const& read,
               FuzzLimits limits = FuzzLimits::asked(),
               std::string_view name = Rejections::kFolder) {
    constexpr double kSlow = 2;
    constexpr unsigned kHangs = 120;
    Rejections refused;
    ASSERT_NO_THROW(read(good));
    auto const files = open_files();
    double const start = processor_seconds();
    double slowest = 0;
    int tried = 0;
    auto const both = [&] { return refused.count() > 0 && refused.count() < tried; };
    for (double before = start;
         tried < limits.inputs && (before - start < limits.seconds || !both()); ++tried) {
        if (tried % 1000 == 0) alarm(kHangs);
        std::string const bad = mutate(good);
        auto const refuse = [&](std::exception const& error) {
            std::string const line = cluster::line_of(error);
            refused.see(line);
            ASSERT_EQ(line.find('\n'), std::string::npos);
            ASSERT_NE(line.find(name), std::string::npos) << line << "\nnames no file, for:\n"
                                                          << bad;
        };
        try {
            read(bad);
        } catch (cluster::InputError const& error) {
            refuse(error);
        } catch (cluster::JobError const& error) {
            refuse(error);
        } catch (std::exception const& error) {
            FAIL() << error.what() << "\nfor:\n" << bad;
        }
        if (testing::Test::HasFatalFailure()) return;
        double const now = processor_seconds();
        slowest = std::max(slowest, now - before);
        ASSERT_LT(now - before, kSlow) << "seconds for:\n" << bad;
        before = now;
    }
    alarm(0);
    EXPECT_EQ(open_files(), files) << "files stay open";
    EXPECT_GT(refused.count(), tried / 50);
    EXPECT_LT(refused.count(), tried);
    std::printf(
        "%-40s %8d inputs, %8d refused with %4td kinds of message, %7.1f s, slowest %5.1f ms\n",
        testing::UnitTest::GetInstance()->current_test_info()->name(), tried, refused.count(),
        refused.kinds(), processor_seconds() - start, 1e3 * slowest);
    std::fflush(stdout);
}

inline void fuzz(std::string const& good, std::function<void(std::string const&)> const& read,
                 FuzzLimits limits = FuzzLimits::asked()) {
    fuzz_with(Mutator(), good, read, limits);
}

/// Mutates half of the inputs as text and half as JSON.
inline void fuzz_json(std::string const& good, std::function<void(std::string const&)> const& read,
                      FuzzLimits limits = FuzzLimits::asked()) {
    fuzz_with(Mutator(), good, read, limits.part(2));
    fuzz_with(JsonMutator(), good, read, limits.part(2));
}

/// A file that is cut to nothing and written again waits for the disk on some file systems: a new
/// one does not.
inline void put(std::string const& path, std::string const& text) {
    unlink(path.c_str());
    int const file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ASSERT_TRUE(file >= 0 && cluster::write_all(file, text)) << path;
    close(file);
}

} // namespace trireme::test
