#include "launch/text/tasks/class_names.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "launch/text/file_kind.hpp"
#include "launch/text/tokenizer.hpp"
#include "launch/text/unicode.hpp"

namespace trireme::launch::text {

namespace {

constexpr std::size_t kShownNames = 20; ///< class names in a message

/// None of more digits than a double tells apart, as identifiers have.
std::optional<double> as_class_number(std::string const& text) {
    double value = 0;
    char const* const begin = text.data() + (text.size() > 1 && text[0] == '+' && text[1] != '-');
    auto const [end, error] = std::from_chars(begin, text.data() + text.size(), value);
    bool const whole = error == std::errc{} && end == text.data() + text.size();
    return whole && std::abs(value) < 0x1p53 ? std::optional(value + 0.0) : std::nullopt; // -0 is 0
}

std::string unquoted(std::string const& text) {
    return is_quoted(text) ? text.substr(1, text.size() - 2) : text;
}

std::string label_list(std::vector<std::string> const& labels) {
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
            is_named(*at.file, FileKind::csv) && is_quoted_late(label))
            throw cluster::InputError(
                fmt::format("{}:{}: {}: [{}]: after a blank, a quotation mark of a .csv is a "
                            "character of the name; "
                            "legal: no blank between comma and quotation mark",
                            *at.file, at.line, o.columns.values.front(), cluster::one_line(label)));
}

/// A name ends at a zero where C reads it, so that two would become one.
void refuse_zeros(std::vector<std::string> const& labels, Census const& census,
                  PrepareOptions const& o) {
    for (auto const& label : labels)
        if (auto const at = census.first.at(label); label.find('\0') != std::string::npos)
            throw cluster::InputError(
                fmt::format("{}:{}: {}: \"{}\": legal: a name without a character of zero",
                            *at.file, at.line, o.columns.values.front(), cluster::one_line(label)));
}

/// Two spellings of one class would become two classes.
void refuse_two_spellings(std::vector<std::string> const& labels, Census const& census,
                          PrepareOptions const& o) {
    std::map<std::string, std::string>
        seen; // the name without what nobody sees, or the number -> the spelling met first
    for (auto const& label : labels) {
        std::string const bare = squeezed(unquoted(label));
        auto const number = as_class_number(bare);
        auto const [found, added] = seen.emplace(number ? fmt::format("{}", *number) : bare, label);
        if (added) continue;
        std::string const& first = found->second;
        auto const at = census.first.at(label), other = census.first.at(first);
        throw cluster::InputError(fmt::format(
            "{}:{}: {}: \"{}\" and \"{}\" ({}:{}) differ {} only; legal: one spelling of a class",
            *at.file, at.line, o.columns.values.front(), cluster::one_line(label),
            cluster::one_line(first), *other.file, other.line,
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
/// `way_out`: what the user may do about rows that --input put there.
void refuse_untrained(std::vector<std::string> const& names, Census const& census,
                      PrepareOptions const& o, char const* way_out) {
    std::set<std::string> const trained(names.begin(), names.end());
    for (auto const& [split, labels] : census.labels)
        for (auto const& [label, rows] : labels) {
            if (trained.contains(label)) continue;
            std::string const what =
                fmt::format("{}: {}: {}: in {} {} of {} and never in training", file_of(split, o),
                            o.columns.values.front(), cluster::one_line(label), rows,
                            rows == 1 ? "row" : "rows", split);
            if (o.files.contains(""))
                throw cluster::InputError(fmt::format(
                    "{}, where the division by hash put it; legal: {}, other fractions, or "
                    "--train FILES with --validation and --test",
                    what, way_out));
            throw cluster::InputError(fmt::format("{}; legal: {}", what, label_list(names)));
        }
}

std::vector<std::string> ordered(std::vector<std::string> names, PrepareOptions const& o) {
    if (auto const given = o.values("labels"); !given.empty()) {
        if (sorted(given) != names)
            throw cluster::InputError(
                fmt::format("--labels: {}: legal: the labels of the training split, each once: {}",
                            label_list(given), label_list(names)));
        return given;
    }
    if (auto model = names_of_model(o); sorted(model) == names) return model;
    if (std::ranges::all_of(names, [](auto const& n) { return as_class_number(n).has_value(); }))
        std::ranges::stable_sort(names, {}, [](auto const& n) { return *as_class_number(n); });
    return names;
}

} // namespace

std::vector<std::string> class_names(Census const& census, PrepareOptions const& o) {
    std::vector<std::string> names, all;
    for (auto const& [label, rows] : census.labels.at(kTrain)) names.push_back(label);
    for (auto const& [label, place] : census.first) all.push_back(label);
    refuse_zeros(all, census, o);
    refuse_quoted_late(all, census, o);
    refuse_two_spellings(all, census, o);
    if (names.size() < 2)
        throw cluster::InputError(fmt::format("{}: {}: one label only in training ({}); legal: two "
                                              "or more; is --label the column of the classes?",
                                              file_of(kTrain, o), o.columns.values.front(),
                                              label_list(names)));
    names = ordered(std::move(names), o);
    refuse_untrained(names, census, o,
                     "--stratify, which gives each class its share of each split");
    return names;
}

namespace {

/// A row has no other label than those of --labels.
void refuse_unlisted(std::vector<std::string> const& given, Census const& census,
                     PrepareOptions const& o) {
    if (std::ranges::any_of(given, is_blank))
        throw cluster::InputError("--labels: a blank; legal: names of labels");
    auto twice = sorted(given);
    if (auto const again = std::ranges::adjacent_find(twice); again != twice.end())
        throw cluster::InputError(fmt::format("--labels: {} is given twice; legal: each label once",
                                              cluster::one_line(*again)));
    std::set<std::string> const legal(given.begin(), given.end());
    for (auto const& [label, place] : census.first)
        if (!legal.contains(label))
            throw cluster::InputError(fmt::format("{}:{}: {}: {}: legal: what --labels names: {}",
                                                  *place.file, place.line, o.columns.values.front(),
                                                  cluster::one_line(label), label_list(given)));
}

} // namespace

std::vector<std::string> label_names(Census const& census, PrepareOptions const& o) {
    std::vector<std::string> names, all;
    for (auto const& [label, place] : census.first) all.push_back(label);
    refuse_zeros(all, census, o);
    refuse_two_spellings(all, census, o);
    if (auto given = o.values("labels"); !given.empty()) {
        refuse_unlisted(given, census, o);
        return given;
    }
    if (auto const train = census.labels.find(kTrain); train != census.labels.end())
        for (auto const& [label, rows] : train->second) names.push_back(label);
    if (names.empty())
        throw cluster::InputError(
            fmt::format("{}: {}: no label in training; legal: one or more; is --label the column "
                        "of the labels?",
                        file_of(kTrain, o), o.columns.values.front()));
    names = ordered(std::move(names), o);
    refuse_untrained(names, census, o, "--labels with every label");
    return names;
}

} // namespace trireme::launch::text
