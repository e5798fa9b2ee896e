#include "launch/text/census.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/sha256.hpp"
#include "data/json.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

namespace {

constexpr std::size_t kShownNames = 20; ///< class names in a message

bool has_no_text(Row const& row, PrepareOptions const& o) {
    bool const second = o.task == "generation" ? is_blank(row.label)
                                               : !o.columns.pair.empty() && is_blank(row.pair);
    return is_blank(row.text) || second;
}

/// Calls `each` for every row of the files, with the split that they were named for.
void for_each_row(PrepareOptions const& o,
                  std::function<void(Row&&, std::string const& given)> const& each) {
    for (auto const& [split, files] : o.files)
        for (auto const& file : files) {
            std::int64_t rows = 0;
            read_rows(file, o.columns, [&](Row&& row) {
                ++rows;
                each(std::move(row), split);
            });
            if (rows == 0)
                throw cluster::InputError(file + ": no row; legal: one row of data or more");
        }
}

void check_label(Row const& row, PrepareOptions const& o) {
    if (!row.unlabelled || o.drop_unlabelled) return;
    throw cluster::InputError(
        fmt::format("{}:{}: {}: no label; legal: a label in each row, or --drop-unlabelled, which "
                    "leaves such rows out and counts "
                    "them",
                    *row.file, row.line, o.columns.label));
}

/// None of more digits than a double tells apart, as identifiers have.
std::optional<double> as_number(std::string const& text) {
    double value = 0;
    char const* const begin = text.data() + (text.size() > 1 && text[0] == '+' && text[1] != '-');
    auto const [end, error] = std::from_chars(begin, text.data() + text.size(), value);
    bool const whole = error == std::errc{} && end == text.data() + text.size();
    return whole && std::abs(value) < 0x1p53 ? std::optional(value + 0.0) : std::nullopt; // -0 is 0
}

/// In quotation marks, as cells of a .tsv are that was written with quoting.
bool is_quoted(std::string const& text) {
    return text.size() > 1 && text.front() == '"' && text.back() == '"';
}
/// In quotation marks after a blank, where a .csv has no quoting.
bool is_quoted_late(std::string const& text) {
    auto const first = text.find_first_not_of(' ');
    return first != std::string::npos && first > 0 && is_quoted(text.substr(first));
}
std::string unquoted(std::string const& text) {
    return is_quoted(text) ? text.substr(1, text.size() - 2) : text;
}

std::string names_of(std::vector<std::string> const& labels) {
    std::vector<std::string> shown;
    for (auto const& label : labels) shown.push_back(cluster::one_line(label));
    std::size_t const more = shown.size() > kShownNames ? shown.size() - kShownNames : 0;
    shown.resize(shown.size() - more);
    return fmt::format("{}{}", fmt::join(shown, ", "),
                       more ? fmt::format(" and {} more", more) : "");
}

void refuse_quoted_late(std::vector<std::string> const& labels, Census const& census,
                        PrepareOptions const& o) {
    for (auto const& label : labels)
        if (auto const at = census.first.at(label);
            at.file->ends_with(".csv") && is_quoted_late(label))
            throw cluster::InputError(
                fmt::format("{}:{}: {}: [{}]: after a blank, a quotation mark of a .csv is a "
                            "character of the name; "
                            "legal: no blank between comma and quotation mark",
                            *at.file, at.line, o.columns.label, cluster::one_line(label)));
}

/// Two spellings of one class would become two classes.
void refuse_two_spellings(std::vector<std::string> const& labels, Census const& census,
                          PrepareOptions const& o) {
    std::map<std::string, std::string>
        seen; // the name without what nobody sees, or the number -> the spelling met first
    for (auto const& label : labels) {
        std::string const bare = squeezed(unquoted(label));
        auto const number = as_number(bare);
        auto const [found, added] = seen.emplace(number ? fmt::format("{}", *number) : bare, label);
        if (added) continue;
        std::string const& first = found->second;
        auto const at = census.first.at(label), other = census.first.at(first);
        throw cluster::InputError(fmt::format(
            "{}:{}: {}: \"{}\" and \"{}\" ({}:{}) differ {} only; legal: one spelling of a class",
            *at.file, at.line, o.columns.label, cluster::one_line(label), cluster::one_line(first),
            *other.file, other.line,
            squeezed(first) == squeezed(label)  ? "by blanks, marks of no width or Unicode's form"
            : squeezed(unquoted(first)) == bare ? "by quotation marks"
                                                : "as spellings of one number"));
    }
}

/// Names of id2label in a config.json beside the tokenizer, in id order; empty if there are none.
std::vector<std::string> names_of_model(PrepareOptions const& o) {
    std::string const path = o.tokenizer + "/config.json";
    if (!cluster::is_there(path)) return {};
    auto const json = data::parse_json(path, cluster::read_file(path));
    if (!json.is_object() || !json.contains("id2label") || !json.at("id2label").is_object())
        return {};
    auto const& table = json.at("id2label");
    std::vector<std::string> names;
    for (std::size_t i = 0; i < table.size(); ++i) {
        auto const found = table.find(std::to_string(i));
        if (found == table.end() || !found->is_string()) return {};
        names.push_back(found->get<std::string>());
    }
    return names;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
    std::ranges::sort(names);
    return names;
}

std::string file_of(std::string const& split, PrepareOptions const& o) {
    return (o.files.contains(split) ? o.files.at(split) : o.files.begin()->second).front();
}

/// A class that training never sees cannot be learnt, nor its rows in another split be judged.
void refuse_untrained(std::vector<std::string> const& names, Census const& census,
                      PrepareOptions const& o) {
    std::set<std::string> const trained(names.begin(), names.end());
    for (auto const& [split, labels] : census.labels)
        for (auto const& [label, rows] : labels) {
            if (trained.contains(label)) continue;
            std::string const what = fmt::format(
                "{}: {}: {}: in {} {} of {} and never in training", file_of(split, o),
                o.columns.label, cluster::one_line(label), rows, rows == 1 ? "row" : "rows", split);
            if (o.files.contains(""))
                throw cluster::InputError(
                    what + ", where the division by hash put it; legal: --stratify, which gives "
                           "each class its share of each split, other fractions, or --train "
                           "FILES with --validation and --test");
            throw cluster::InputError(fmt::format("{}; legal: {}", what, names_of(names)));
        }
}

std::vector<std::string> ordered(std::vector<std::string> names, PrepareOptions const& o) {
    if (!o.labels.empty()) {
        if (sorted(o.labels) != names)
            throw cluster::InputError(
                fmt::format("--labels: {}: legal: the labels of the training split, each once: {}",
                            names_of(o.labels), names_of(names)));
        return o.labels;
    }
    if (auto model = names_of_model(o); sorted(model) == names) return model;
    if (std::ranges::all_of(names, [](auto const& n) { return as_number(n).has_value(); }))
        std::ranges::stable_sort(names, {}, [](auto const& n) { return *as_number(n); });
    return names;
}

} // namespace

Splitter::Splitter(PrepareOptions const& options) : o_(options) {
    if (!o_.stratify || !o_.files.contains("")) return;
    // the smallest, where a text has several
    std::unordered_map<std::uint64_t, std::string> label_of;
    for_each_row(o_, [&](Row&& row, std::string const& given) {
        if (!given.empty() || has_no_text(row, o_) || row.unlabelled) return;
        auto const [found, added] = label_of.try_emplace(key(row), row.label);
        if (!added && row.label < found->second) found->second = row.label;
    });
    std::map<std::string, std::vector<std::uint64_t>> strata;
    for (auto const& [text, label] : label_of) strata[label].push_back(text);
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
    text += lower(row.text); // generation: of the prompt, so that none is both trained and tested
    if (!row.pair.empty()) text.append("\x1f").append(lower(row.pair));
    hash.update(text.data(), text.size());
    return std::stoull(hash.hex().substr(0, 16), nullptr, 16);
}

std::string Splitter::by_place(double place) const {
    if (place < o_.test_fraction) return kTest;
    return place < o_.test_fraction + o_.validation_fraction ? kValidation : kTrain;
}

std::string Splitter::operator()(Row const& row, std::string const& given) const {
    if (!given.empty()) return given;
    std::uint64_t const text = key(row);
    if (o_.stratify) return strata_.at(text);
    return by_place(static_cast<double>(text >> 32U) / 4294967296.0);
}

void for_each_sample(PrepareOptions const& options, Splitter const& split_of,
                     std::function<void(Row&&, std::string const& split)> const& each) {
    for_each_row(options, [&](Row&& row, std::string const& given) {
        if (has_no_text(row, options) || row.unlabelled) return;
        std::string const split = split_of(row, given);
        each(std::move(row), split);
    });
}

Census take_census(PrepareOptions const& o, Splitter const& split_of) {
    Census census;
    struct Seen {
        std::string label, split;
    };
    std::unordered_map<std::string, Seen> texts;
    for_each_row(o, [&](Row&& row, std::string const& given) {
        ++census.total;
        bool const blank = has_no_text(row, o);
        if (!blank) check_label(row, o);
        census.quoted += row.file->ends_with(".tsv") && is_quoted(row.text);
        census.quoted_late += row.file->ends_with(".csv") && is_quoted_late(row.text);
        census.empty += blank;
        census.unlabelled += !blank && row.unlabelled;
        if (blank || row.unlabelled) return;
        std::string const split = split_of(row, given);
        ++census.rows[split];
        if (o.task == "classification") {
            ++census.labels[split][row.label];
            census.first.try_emplace(row.label, Census::Place{row.file, row.line});
        }
        auto const [found, added] =
            texts.try_emplace(row.text + "\x1f" + row.pair, Seen{row.label, split});
        if (added) return;
        ++census.repeated;
        census.contradicting += found->second.label != row.label;
        census.in_two_splits += found->second.split != split;
    });
    if (census.used() == 0)
        throw cluster::InputError(fmt::format(
            "{}: none of the {} rows has a text in \"{}\"{}; legal: one or more",
            o.files.begin()->second.front(), census.total, o.columns.text,
            census.unlabelled ? fmt::format(" and a label in \"{}\"", o.columns.label) : ""));
    if (!census.rows.contains(kTrain))
        throw cluster::InputError(
            "--train: missing, no sample for training; legal: --train FILES, or --input FILES");
    return census;
}

std::vector<std::string> class_names(Census const& census, PrepareOptions const& o) {
    std::vector<std::string> names, all;
    for (auto const& [label, rows] : census.labels.at(kTrain)) names.push_back(label);
    for (auto const& [label, place] : census.first) all.push_back(label);
    refuse_quoted_late(all, census, o);
    refuse_two_spellings(all, census, o);
    if (names.size() < 2)
        throw cluster::InputError(
            fmt::format("{}: {}: one label only in training ({}); legal: two or more",
                        file_of(kTrain, o), o.columns.label, names_of(names)));
    names = ordered(std::move(names), o);
    refuse_untrained(names, census, o);
    return names;
}

std::vector<std::string> doubts_about(std::vector<std::string> const& labels,
                                      Census const& census) {
    static std::set<std::string> const kMissing{"na",   "n/a", "#n/a", "nan", "null",
                                                "none", "nil", "-",    "?",   "unknown"};
    std::vector<std::string> doubts;
    std::map<std::string, std::string> spellings;
    for (auto const& label : labels) {
        std::string const lowered = lower(label);
        if (kMissing.contains(lowered))
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
