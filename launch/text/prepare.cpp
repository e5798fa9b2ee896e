#include "launch/text/prepare.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/manifest.hpp"
#include "data/tokenizer_files.hpp"
#include "launch/text/added_tokens.hpp"
#include "launch/text/audit.hpp"
#include "launch/text/census.hpp"
#include "launch/text/converter.hpp"
#include "launch/text/inputs.hpp"
#include "launch/text/lengths.hpp"
#include "launch/text/tasks/task.hpp"
#include "launch/text/tokenizer.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kShownClasses = 20, kShownWords = 5;

std::string option_of(std::string const& split) {
    return split.empty() ? "--input" : "--" + split;
}

/// A file given twice would count twice, and in two splits it would make the test part of the
/// training.
void refuse_repeated_files(PrepareOptions const& o) {
    std::map<std::string, std::string> options;
    for (auto const& [split, files] : o.files)
        for (auto const& file : files) {
            std::string const option = option_of(split);
            std::error_code none;
            auto const [found, added] =
                options.emplace(fs::weakly_canonical(file, none).string(), option);
            if (!added)
                throw cluster::InputError(
                    fmt::format("{}: {}: given already, by {}; legal: each file once", option, file,
                                found->second));
        }
}

/// Refuses what training would refuse later.
void check_model_beside(PrepareOptions const& o, Tokenizer const& tokenizer) {
    if (auto const most = positions_in_config(o.tokenizer); most > 0 && o.max_length > most)
        throw cluster::InputError(
            fmt::format("--max-length: {}: legal: 2 to {}, the positions of {}/config.json",
                        o.max_length, most, o.tokenizer));
    auto const own = tokenizer.vocabulary() - std::ssize(o.added_tokens);
    if (auto const room = size_in_config(o.tokenizer, "vocab_size"); room > 0 && own > room)
        throw cluster::InputError(
            fmt::format("{}/tokenizer.json: {} tokens: legal: at most {}, the vocab_size of the "
                        "config.json beside it",
                        o.tokenizer, own, room));
    if (!o.columns.pair.empty()) check_pair(o.tokenizer, o.columns.pair, tokenizer);
}

std::string count_of(std::int64_t n, std::string const& one, std::string const& many) {
    return fmt::format("{} {}", n, n == 1 ? one : many);
}

std::string describe_unknown(UnknownTokens const& unknown) {
    if (unknown.unknown == 0) return "";
    std::vector<std::pair<std::int64_t, std::string>> words;
    for (auto const& [word, count] : unknown.words) words.emplace_back(-count, word);
    std::ranges::sort(words);
    std::string text;
    for (std::size_t i = 0; i < std::min(words.size(), kShownWords); ++i)
        text += fmt::format("{}\"{}\" ({})", i ? ", " : ": ", cluster::one_line(words[i].second),
                            -words[i].first);
    return fmt::format("  {} of {} tokens ({:.2f} %) are {}, which stands for what the tokenizer "
                       "does not know{}\n",
                       unknown.unknown, unknown.tokens,
                       100 * static_cast<double>(unknown.unknown) /
                           static_cast<double>(unknown.tokens),
                       unknown.name, text);
}

std::string describe_specials(Converter const& converter) {
    std::string text;
    if (auto const& d = converter.samples().doubled(); d.rows)
        text += fmt::format(
            "  {} special tokens that the tokenizer adds (first {}): they stand once\n",
            count_of(d.rows, "text has itself the", "texts have themselves the"), d.first);
    if (auto const& w = converter.samples().written(); w.rows)
        text += fmt::format("  {} special tokens in the middle of the text (first {}): the model "
                            "reads them as such\n",
                            count_of(w.rows, "text has", "texts have"), w.first);
    return text;
}

/// Tells people what became of rows that are not whole samples.
std::string describe_rows(Census const& census, Converter const& converter,
                          PrepareOptions const& o) {
    Words const words = text_task(o).words();
    std::string text = fmt::format(
        "  {} read; {} without text dropped; {} longer than {} tokens {}; {} repeat an earlier {} "
        "({}{} in another split)\n",
        count_of(census.total, "row", "rows"), census.empty, converter.samples().longer(),
        o.max_length, o.given("windows") ? "divided into windows" : words.longer, census.repeated,
        words.text,
        words.value ? fmt::format("{} with another {}, ", census.contradicting, words.value) : "",
        census.in_two_splits);
    if (census.skipped)
        text +=
            fmt::format("  {} of --skip-list left out\n", count_of(census.skipped, "row", "rows"));
    if (census.unlabelled)
        text += fmt::format("  {} without a label left out\n",
                            count_of(census.unlabelled, "row", "rows"));
    if (auto const& none = converter.samples().without_tokens(); none.rows)
        text +=
            fmt::format("  {} left out, since the text has too few tokens to train on (first {})\n",
                        count_of(none.rows, "row", "rows"), none.first);
    if (converter.samples().apart())
        text += fmt::format(
            "  {} inside a token of the joined text and tokenized apart from the prompt: begin "
            "completions with the space that stands before them\n",
            count_of(converter.samples().apart(), "completion begins", "completions begin"));
    for (auto const& [what, counted] : converter.samples().told())
        text += fmt::format("  {}: {} (first {})\n", what, counted.rows, counted.first);
    return text + converter.told() + describe_specials(converter) +
           describe_unknown(converter.unknown());
}

std::string describe(data::Manifest const& m, PrepareOptions const& o) {
    std::string text =
        fmt::format("{}: {} data in {}\n", o.output, o.task_name(),
                    m.splits.size() == 1 ? "1 split" : fmt::format("{} splits", m.splits.size()));
    for (auto const& [name, split] : m.splits) {
        text += fmt::format("  {:<11}{:>9} samples {:>11} tokens  longest {:>5}  {}", name,
                            split.samples(), split.tokens(), split.longest(),
                            count_of(std::ssize(split.shards), "shard", "shards"));
        for (std::size_t c = 0; c < std::min(split.label_counts.size(), kShownClasses); ++c)
            text += fmt::format("{}{} {}", c ? ", " : "  labels: ", cluster::one_line(m.labels[c]),
                                split.label_counts[c]);
        if (split.label_counts.size() > kShownClasses)
            text += fmt::format(" and {} more", split.label_counts.size() - kShownClasses);
        text += "\n";
    }
    return text;
}

/// Options with what they leave to the task and to the tokenizer's folder.
PrepareOptions completed(PrepareOptions o, std::vector<std::string>& said) {
    o = with_files(std::move(o), said);
    if (!o.skip_list.empty()) o.skipped = read_skip_list(o.skip_list);
    if (o.max_length == kChooseLength) o.max_length = usual_length(o.tokenizer);
    return o;
}

void check_tokenizer(PrepareOptions const& o) {
    Tokenizer const tokenizer(o.tokenizer, 0, false, o.added_tokens);
    check_model_beside(o, tokenizer);
    check_tokenizer_config(o.tokenizer, tokenizer);
}

std::int64_t first_added(data::Manifest const& manifest) {
    return manifest.vocabulary - std::ssize(manifest.added_tokens);
}

std::string summary_of(Census const& census, Converter const& converter) {
    return nlohmann::ordered_json{{"rows", census.total},
                                  {"empty_dropped", census.empty},
                                  {"unlabelled_dropped", census.unlabelled},
                                  {"too_short_dropped", converter.samples().without_tokens().rows},
                                  {"longer_than_max_length", converter.samples().longer()},
                                  {"completions_cut_apart", converter.samples().apart()},
                                  {"unknown_tokens", converter.unknown().unknown},
                                  {"texts_with_special_tokens", converter.samples().written().rows},
                                  {"repeated_texts", census.repeated},
                                  {"repeated_with_another_label", census.contradicting},
                                  {"repeated_in_another_split", census.in_two_splits}}
        .dump();
}

/// Adds what was found in files to `said`: a line for each thing, whatever the number of files.
void say_what_was_found(PrepareOptions const& o, std::vector<std::string>& said) {
    struct Files {
        std::string first;
        std::int64_t number = 0;
    };
    std::map<std::string, Files> found;
    for (auto const& [split, files] : o.files)
        for (auto const& file : files)
            for (auto const& what : found_in(file, o.columns)) {
                auto& [first, number] = found[what];
                if (number++ == 0) first = file;
            }
    for (auto const& [what, files] : found)
        said.push_back(files.number == 1 ? fmt::format("{}: {}", files.first, what)
                                         : fmt::format("{} files (first {}): {}", files.number,
                                                       files.first, what));
}

/// Lines about what is legal and may not be meant.
std::string notes_on(PrepareOptions const& o, std::vector<std::string> const& labels,
                     Census const& census, std::vector<std::string> said) {
    std::string text;
    say_what_was_found(o, said);
    for (auto const& line : said) text += "  note: " + line + "\n";
    if (auto const cut = length_of_tokenizer(o.tokenizer); cut > 0 && cut < o.max_length)
        text += fmt::format(
            "  note: {}/tokenizer_config.json: model_max_length: {} is less than --max-length {}: "
            "transformers would cut texts there, if it is asked to\n",
            o.tokenizer, cut, o.max_length);
    for (auto const& doubt : doubts_about_tokenizer(o.tokenizer)) text += "  note: " + doubt + "\n";
    for (auto const& doubt : doubts_about(labels, census)) text += "  note: " + doubt + "\n";
    return text;
}

} // namespace

PrepareOptions with_files(PrepareOptions o, std::vector<std::string>& said) {
    o.columns = text_task(o).columns(o);
    o.columns.sample_by = o.sample_by;
    for (auto& [split, files] : o.files) {
        auto inputs = expanded(option_of(split), files);
        files = std::move(inputs.files);
        said.insert(said.end(), inputs.left_out.begin(), inputs.left_out.end());
    }
    refuse_repeated_files(o);
    return o;
}

std::string prepare(PrepareOptions const& options, cluster::Communicator* world) {
    Ranks ranks(world);
    cluster::check_new_folder("--output", options.output);
    std::vector<std::string> said;
    PrepareOptions o = completed(options, said);
    check_tokenizer(o);
    Splitter const split_of(o);
    Census const census = take_census(o, split_of, ranks.first());
    data::Manifest manifest{.task = o.task,
                            .max_length = o.max_length,
                            .tokenizer_xxh3 =
                                cluster::xxh3_of_file(o.tokenizer + "/tokenizer.json")};
    manifest.labels = text_task(o).labels(census, o);
    if (!census.labels.empty())
        for (auto const& line : notes_on_classes(census.labels))
            said.push_back(cluster::one_line(line));
    ranks.meet("prepare/checked"); // before the first one makes what others check not to be there
    std::optional<cluster::StagingFolder> staged;
    if (ranks.first()) o.output = staged.emplace(o.output).path();
    Converter converter(o, census, manifest.labels, ranks);
    for_each_sample(o, [&](Row&& row, std::string const& given) {
        converter.add(std::move(row), [&](Row const& of) { return split_of(of, given); });
    });
    converter.finish(manifest);
    if (!ranks.first()) return "";
    manifest.summary = summary_of(census, converter);
    data::copy_tokenizer_files(o.tokenizer, o.output);
    if (!o.added_tokens.empty()) {
        write_added_tokens(o.output, o.added_tokens, first_added(manifest));
        manifest.tokenizer_xxh3 = cluster::xxh3_of_file(o.output + "/tokenizer.json");
    }
    data::write_manifest(o.output, manifest);
    staged->commit();
    o.output = options.output;
    return describe(manifest, o) +
           told_of_added_tokens(o.added_tokens, first_added(manifest),
                                size_in_config(o.tokenizer, "vocab_size")) +
           describe_rows(census, converter, o) +
           notes_on(o, manifest.labels, census, std::move(said));
}

} // namespace trireme::launch::text
