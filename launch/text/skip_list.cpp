#include "launch/text/skip_list.hpp"

#include <fmt/format.h>

#include <charconv>

#include "cluster/error.hpp"
#include "cluster/line_reader.hpp"
#include "cluster/utf8.hpp"

namespace trireme::launch::text {

namespace {

/// The number of a line; 0 for what is none.
std::int64_t line_in(std::string_view text) {
    std::int64_t line = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), line);
    return error == std::errc() && end == text.data() + text.size() ? line : 0;
}

} // namespace

SkipList read_skip_list(std::string const& path) {
    constexpr std::size_t kShown = 80;
    SkipList list;
    cluster::LineReader reader(path);
    for (std::string line; reader.next(line);) {
        std::string const row = line.substr(0, line.find('\t'));
        if (row.empty() || row.front() == '#' || row == "\r") continue;
        auto const colon = row.rfind(':');
        std::int64_t const number =
            colon == std::string::npos ? 0 : line_in(std::string_view(row).substr(colon + 1));
        if (number < 1 || colon == 0)
            throw cluster::InputError(fmt::format(
                "{}:{}: {}: legal: FILE:LINE, as in reviews.jsonl:17, with lines from 1", path,
                reader.number(), cluster::one_line(row.substr(0, kShown))));
        list[row.substr(0, colon)].insert(number);
    }
    if (list.empty()) throw cluster::InputError(path + ": names no row; legal: lines of FILE:LINE");
    return list;
}

std::string source_name(std::string const& file) {
    return cluster::is_utf8(file) ? file : cluster::one_line(file);
}

void check_all_skipped(SkipList const& list, std::int64_t skipped, std::string const& path) {
    std::int64_t listed = 0;
    for (auto const& [file, lines] : list) listed += static_cast<std::int64_t>(lines.size());
    if (skipped != listed)
        throw cluster::InputError(fmt::format(
            "--skip-list: {}: names {} rows, of which the input files have {}; legal: rows of "
            "these "
            "files, by the names that --input, --train, --validation and --test give them",
            path, listed, skipped));
}

} // namespace trireme::launch::text
