#include "launch/text/census.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "cluster/error.hpp"
#include "cluster/sha256.hpp"
#include "launch/text/file_kind.hpp"
#include "launch/text/repeats.hpp"
#include "launch/text/tasks/task.hpp"
#include "launch/text/tokenizer.hpp"
#include "launch/text/unicode.hpp"

namespace trireme::launch::text {

bool is_skipped(Row const& row, PrepareOptions const& o) {
    if (o.skipped.empty()) return false;
    auto const file = o.skipped.find(source_name(*row.file));
    return file != o.skipped.end() && file->second.contains(row.line);
}

bool has_no_text(Row const& row, PrepareOptions const& o) {
    bool const second = !o.columns.pair.empty() && is_blank(row.pair);
    // A value that must be there is text too, such as a completion.
    bool const third = !o.columns.may_lack && std::ranges::any_of(row.values, is_blank);
    auto const& structured = row.structured;
    bool const first = o.columns.text.empty()
                           ? std::ranges::all_of(structured, [](auto& j) { return j.is_null(); })
                           : is_blank(row.text);
    return first || second || third;
}

std::string content_of(Row const& row) {
    std::string content = row.text;
    if (!content.empty()) return content; // the rest is what is learned of it
    for (auto const& value : row.structured) content.append("\x1f").append(value.dump());
    return content;
}

void for_each_row(PrepareOptions const& o,
                  std::function<void(Row&&, std::string const& given)> const& each) {
    for (auto const& [split, files] : o.files)
        for (auto const& file : files) {
            std::int64_t rows = 0;
            text_task(o).read(file, o, [&](Row&& row) {
                ++rows;
                each(std::move(row), split);
            });
            if (rows == 0)
                throw cluster::InputError(file + ": no row; legal: one row of data or more");
        }
}

namespace {

void check_label(Row const& row, PrepareOptions const& o) {
    if (!row.unlabelled || o.given("drop-unlabelled")) return;
    auto const lacking = std::ranges::find_if(row.values, is_blank) - row.values.begin();
    throw cluster::InputError(
        fmt::format("{}: {}: no label; legal: a label in each row, or --drop-unlabelled, which "
                    "leaves such rows out and counts them",
                    place_of(row), o.columns.values[static_cast<std::size_t>(lacking)]));
}

} // namespace

Splitter::Splitter(PrepareOptions const& options) : o_(options) {
    if (!o_.given("stratify") || !o_.files.contains("")) return;
    std::map<std::string, std::uint32_t> numbers; // of labels
    std::vector<std::string const*> names;
    // the smallest, where a text has several
    std::unordered_map<std::uint64_t, std::uint32_t> label_of;
    for_each_row(o_, [&](Row&& row, std::string const& given) {
        if (!given.empty() || is_skipped(row, o_) || has_no_text(row, o_) || row.unlabelled) return;
        auto const [number, is_new] =
            numbers.emplace(row.values.front(), static_cast<std::uint32_t>(names.size()));
        if (is_new) names.push_back(&number->first);
        auto const [found, added] = label_of.try_emplace(key(row), number->second);
        if (!added && number->first < *names[found->second]) found->second = number->second;
    });
    std::map<std::string, std::vector<std::uint64_t>> strata;
    for (auto const& [text, label] : label_of) strata[*names[label]].push_back(text);
    for (auto& [label, texts] : strata) {
        std::ranges::sort(texts);
        auto const n = static_cast<double>(texts.size());
        // the last one has the largest place: it is always of training
        for (std::size_t i = 0; i < texts.size(); ++i)
            strata_[texts[i]] =
                by_place(i + 1 == texts.size() ? 1 : (static_cast<double>(i) + 0.5) / n);
    }
}

std::uint64_t Splitter::key(Row const& row) const {
    cluster::Sha256 hash;
    std::string text = o_.split_seed ? fmt::format("{}\x1f", o_.split_seed) : "";
    // generation: of the prompt, so that none is both trained and tested
    text += lower(row.group.empty() ? content_of(row) : row.group);
    if (!row.pair.empty() && row.group.empty()) text.append("\x1f").append(lower(row.pair));
    hash.update(text.data(), text.size());
    return std::stoull(hash.hex().substr(0, 16), nullptr, 16);
}

char const* Splitter::by_place(double place) const {
    if (place < o_.test_fraction) return kTest;
    return place < o_.test_fraction + o_.validation_fraction ? kValidation : kTrain;
}

std::string Splitter::operator()(Row const& row, std::string const& given) const {
    if (!given.empty()) return given;
    std::uint64_t const text = key(row);
    if (o_.given("stratify")) return strata_.at(text);
    return by_place(static_cast<double>(text >> 32U) / 4294967296.0);
}

void for_each_sample(PrepareOptions const& options,
                     std::function<void(Row&&, std::string const& given)> const& each) {
    for_each_row(options, [&](Row&& row, std::string const& given) {
        if (!is_skipped(row, options) && !has_no_text(row, options) && !row.unlabelled)
            each(std::move(row), given);
    });
}

namespace {

void check_used(Census const& census, PrepareOptions const& o) {
    if (census.used() == 0)
        throw cluster::InputError(fmt::format(
            "{}: none of the {} rows has a text in \"{}\"{}; legal: one or more",
            o.files.begin()->second.front(), census.total,
            o.columns.text.empty() ? fmt::format("{}", fmt::join(o.columns.structured, "\", \""))
                                   : o.columns.text,
            census.unlabelled
                ? fmt::format(" and a label in \"{}\"", fmt::join(o.columns.values, "\", \""))
                : ""));
    if (!census.rows.contains(kTrain))
        throw cluster::InputError(
            "--train: missing, no sample for training; legal: --train FILES, or --input FILES");
}

} // namespace

Census take_census(PrepareOptions const& o, Splitter const& split_of, bool count_repeats) {
    TextTask const& task = text_task(o);
    Census census;
    Repeats repeats;
    for_each_row(o, [&](Row&& row, std::string const& given) {
        if (is_skipped(row, o)) {
            ++census.skipped;
            return;
        }
        ++census.total;
        bool const blank = has_no_text(row, o);
        if (!blank) check_label(row, o);
        census.quoted += is_quoted(row.text) && is_named(*row.file, FileKind::tsv);
        census.quoted_late += is_quoted_late(row.text) && is_named(*row.file, FileKind::csv);
        census.empty += blank;
        census.unlabelled += !blank && row.unlabelled;
        if (blank || row.unlabelled) return;
        std::string const split = split_of(row, given);
        ++census.rows[split];
        task.take(row, split, o, census);
        if (count_repeats) repeats.add(content_of(row) + "\x1f" + row.pair, row.values, split);
    });
    auto const counts = repeats.count();
    census.repeated = counts.repeated, census.contradicting = counts.contradicting,
    census.in_two_splits = counts.in_two_splits;
    if (!o.skip_list.empty()) check_all_skipped(o.skipped, census.skipped, o.skip_list);
    check_used(census, o);
    return census;
}

namespace {

std::vector<std::string> doubts_about_names(std::vector<std::string> const& labels) {
    static std::set<std::string> const kMissing{"na",  "n/a",  "n.a.",   "#n/a", "<na>",
                                                "nan", "null", "(null)", "\\n",  "none",
                                                "nil", "-",    "--",     "?",    "unknown"};
    // the data sets of GLUE, SNLI and others write it, beside classes from 0
    bool const counts_from_zero = std::ranges::find(labels, "0") != labels.end();
    std::vector<std::string> doubts;
    std::map<std::string, std::string> spellings;
    for (auto const& label : labels) {
        std::string const lowered = lower(label);
        if (kMissing.contains(lowered) || (label == "-1" && counts_from_zero))
            doubts.push_back(fmt::format(
                "\"{}\" is taken as the name of a class; where it stands for a missing label, "
                "leave the cell empty and give --drop-unlabelled",
                cluster::one_line(label)));
        if (label.front() == ' ' || label.back() == ' ')
            doubts.push_back(fmt::format(
                "\"{}\" begins or ends with a blank, which is part of the name of the class",
                cluster::one_line(label)));
        auto const [found, added] = spellings.emplace(lowered, label);
        if (!added)
            doubts.push_back(
                fmt::format("\"{}\" and \"{}\" differ in case only and are two classes",
                            cluster::one_line(found->second), cluster::one_line(label)));
    }
    return doubts;
}

} // namespace

std::vector<std::string> doubts_about(std::vector<std::string> const& labels,
                                      Census const& census) {
    std::vector<std::string> doubts = doubts_about_names(labels);
    if (census.quoted * 2 > census.used())
        doubts.push_back(fmt::format(
            "{} texts of .tsv files begin and end with a quotation mark, which is a character of "
            "the text there; where it is not meant, write the file as .csv",
            census.quoted));
    if (census.quoted_late * 2 > census.used())
        doubts.push_back(fmt::format(
            "{} texts of .csv files begin with a blank and a quotation mark, which is a "
            "character of the text there; where it is not meant, leave no blank between comma "
            "and quotation mark",
            census.quoted_late));
    if (labels.size() > 20 && static_cast<std::int64_t>(labels.size()) * 2 > census.used())
        doubts.push_back(
            fmt::format("{} classes in {} rows: is the column with the classes the right one?",
                        labels.size(), census.used()));
    return doubts;
}

} // namespace trireme::launch::text
