#include "launch/text/prepare.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <unordered_map>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/sha256.hpp"
#include "data/json.hpp"
#include "data/manifest.hpp"
#include "launch/text/split_writer.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBatch = 2048; ///< rows tokenized together
constexpr std::int64_t kUsualLength = 512;
constexpr char const* kTest = "test";
constexpr char const* kValidation = "validation";
constexpr char const* kTrain = "train";

/// A number in [0, 1) of the lower-cased text: equal texts always fall into the same split.
double split_place(Row const& row) {
    cluster::Sha256 hash;
    std::string key = lower(row.text); // generation: of the prompt, so that none is both trained and tested
    if (!row.pair.empty()) key.append("\x1f").append(lower(row.pair));
    hash.update(key.data(), key.size());
    return std::stoul(hash.hex().substr(0, 8), nullptr, 16) / 4294967296.0;
}

std::string split_of(Row const& row, std::string const& given, PrepareOptions const& o) {
    if (!given.empty()) return given;
    double const place = split_place(row);
    if (place < o.test_fraction) return kTest;
    return place < o.test_fraction + o.validation_fraction ? kValidation : kTrain;
}

void for_each_row(PrepareOptions const& o, std::function<void(Row&&, std::string const& split)> const& each) {
    for (auto const& [split, files] : o.files)
        for (auto const& file : files) {
            std::int64_t rows = 0;
            read_rows(file, o.columns, [&](Row&& row) {
                ++rows;
                std::string const to = split_of(row, split, o);
                each(std::move(row), to);
            });
            if (rows == 0) throw cluster::InputError(file + ": no row; legal: one row of data or more");
        }
}

/// A file given twice would count twice, and in two splits it would make the test part of the training.
void refuse_repeated_files(PrepareOptions const& o) {
    std::map<std::string, std::string> options;
    for (auto const& [split, files] : o.files)
        for (auto const& file : files) {
            std::string const option = split.empty() ? "--input" : "--" + split;
            std::error_code none;
            auto const [found, added] = options.emplace(fs::weakly_canonical(file, none).string(), option);
            if (!added)
                throw cluster::InputError(
                    fmt::format("{}: {}: given already, by {}; legal: each file once", option, file, found->second));
        }
}

/// What a model beside the tokenizer says of itself; 0: nothing.
std::int64_t size_in_config(PrepareOptions const& o, char const* field) {
    std::string const path = o.tokenizer + "/config.json";
    std::error_code none;
    if (!fs::exists(path, none)) return 0;
    auto const json = data::parse_json(path, cluster::read_file(path));
    bool const known = json.is_object() && json.contains(field) && json.at(field).is_number_integer();
    return known ? json.at(field).get<std::int64_t>() : 0;
}

/// Of the model beside the tokenizer; 0 if there is none.
std::int64_t positions_in_config(PrepareOptions const& o) {
    return std::max(size_in_config(o, "max_position_embeddings"), size_in_config(o, "n_positions")); // GPT-2's name
}

/// What training would refuse later.
void check_model_beside(PrepareOptions const& o, Tokenizer const& tokenizer) {
    if (auto const most = positions_in_config(o); most > 0 && o.max_length > most)
        throw cluster::InputError(fmt::format("--max-length: {}: legal: 2 to {}, the positions of {}/config.json",
                                              o.max_length, most, o.tokenizer));
    if (auto const room = size_in_config(o, "vocab_size"); room > 0 && tokenizer.vocabulary() > room)
        throw cluster::InputError(fmt::format("{}/tokenizer.json: {} tokens: legal: at most {}, the vocab_size of the "
                                              "config.json beside it",
                                              o.tokenizer, tokenizer.vocabulary(), room));
}

/// What the first pass over the rows finds: enough to refuse before anything is written.
struct Census {
    std::map<std::string, std::map<std::string, std::int64_t>> labels; ///< split, label -> rows
    std::map<std::string, std::int64_t> rows;
    std::int64_t total = 0, empty = 0, repeated = 0, contradicting = 0, in_two_splits = 0;
};

bool is_blank(std::string const& text) {
    return text.find_first_not_of(" \t\r\n") == std::string::npos;
}
bool is_empty(Row const& row, PrepareOptions const& o) {
    return is_blank(row.text) || (o.task == "generation" && is_blank(row.label));
}

Census take_census(PrepareOptions const& o) {
    Census census;
    struct Seen {
        std::string label, split;
    };
    std::unordered_map<std::string, Seen> texts;
    for_each_row(o, [&](Row&& row, std::string const& split) {
        ++census.total;
        if (is_empty(row, o)) {
            ++census.empty;
            return;
        }
        ++census.rows[split];
        if (o.task == "classification") ++census.labels[split][row.label];
        auto const [found, added] = texts.try_emplace(row.text + "\x1f" + row.pair, Seen{row.label, split});
        if (added) return;
        ++census.repeated;
        census.contradicting += found->second.label != row.label;
        census.in_two_splits += found->second.split != split;
    });
    if (census.total == census.empty)
        throw cluster::InputError(fmt::format("{}: none of the {} rows has a text in \"{}\"; legal: one or more",
                                              o.files.begin()->second.front(), census.total, o.columns.text));
    if (!census.rows.contains(kTrain))
        throw cluster::InputError("--train: missing, no sample for training; legal: --train FILES, or --input FILES");
    return census;
}

std::optional<std::int64_t> as_number(std::string const& text) {
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// Class names: of the training split, numbers in order of value, words in alphabetical order.
std::vector<std::string> class_names(Census const& census, PrepareOptions const& o) {
    std::vector<std::string> names;
    for (auto const& [label, rows] : census.labels.at(kTrain)) names.push_back(label);
    if (std::ranges::all_of(names, [](auto const& n) { return as_number(n).has_value(); }))
        std::ranges::sort(names, {}, [](auto const& n) { return *as_number(n); });
    if (names.size() < 2)
        throw cluster::InputError(
            fmt::format("{}: {}: one label only in training ({}); legal: two or more",
                        (o.files.contains(kTrain) ? o.files.at(kTrain) : o.files.begin()->second).front(),
                        o.columns.label, fmt::join(names, ", ")));
    for (auto const& [split, labels] : census.labels)
        for (auto const& [label, rows] : labels)
            if (std::ranges::find(names, label) == names.end())
                throw cluster::InputError(
                    fmt::format("{}: {}: {}: in {} rows of {} and never in training; legal: {}",
                                (o.files.contains(split) ? o.files.at(split) : o.files.begin()->second).front(),
                                o.columns.label, label, rows, split, fmt::join(names, ", ")));
    return names;
}

/// Rows to samples, a batch at a time.
class Converter {
  public:
    Converter(PrepareOptions const& options, Census const& census, std::vector<std::string> const& labels)
        : o_(options), census_(census), labels_(labels), classify_(o_.task == "classification"),
          tokenizer_(o_.tokenizer, classify_ ? o_.max_length : 0), end_(end_token()) {
        for (auto const& [split, rows] : census.rows)
            writers_.emplace(split, SplitWriter{o_.output, split, o_.samples_per_shard, labels.size()});
    }

    void add(Row&& row, std::string const& split) {
        if (is_empty(row, o_)) return;
        rows_.push_back({std::move(row), split});
        if (rows_.size() == kBatch) flush();
    }
    void finish(data::Manifest& manifest) {
        flush();
        if (isatty(STDERR_FILENO)) fmt::print(stderr, "\r\033[2K");
        for (auto& [split, writer] : writers_) manifest.splits[split] = writer.finish();
        manifest.vocabulary = tokenizer_.vocabulary();
    }
    std::int64_t cut() const { return cut_; }
    std::int64_t apart() const { return apart_; }
    std::int32_t end() const { return end_; }

  private:
    std::int32_t end_token() const {
        if (!o_.stop.empty()) {
            if (auto const id = tokenizer_.id(o_.stop)) return *id;
            throw cluster::InputError(
                fmt::format("--stop: {}: legal: a token of {}/tokenizer.json", o_.stop, o_.tokenizer));
        }
        std::int32_t const end = tokenizer_.end_of_text();
        if (end < 0 && o_.task == "generation")
            throw cluster::InputError(o_.tokenizer +
                                      ": no end-of-text token in tokenizer_config.json, special_tokens_map.json, "
                                      "generation_config.json or config.json; name the token that ends a completion "
                                      "with --stop");
        return end;
    }
    void flush() {
        o_.task == "generation" ? convert_prompted() : convert_texts();
        done_ += static_cast<std::int64_t>(rows_.size());
        rows_.clear();
        if (isatty(STDERR_FILENO))
            fmt::print(stderr, "\r\033[2Ktokenized {} of {} rows ({} %)", done_, census_.total - census_.empty,
                       100 * done_ / std::max<std::int64_t>(1, census_.total - census_.empty));
    }
    void convert_prompted() {
        std::vector<std::string> prompts, completions;
        for (auto const& [row, split] : rows_) {
            prompts.push_back(row.text);
            completions.push_back(row.label);
        }
        auto texts = tokenizer_.encode_prompted(prompts, completions);
        for (std::size_t i = 0; i < rows_.size(); ++i)
            generation(std::move(texts[i]), rows_[i].row, writers_.at(rows_[i].split));
    }
    void convert_texts() {
        std::vector<std::string> texts, pairs;
        for (auto const& [row, split] : rows_) {
            texts.push_back(row.text);
            if (!o_.columns.pair.empty()) pairs.push_back(row.pair);
        }
        auto encodings = tokenizer_.encode(texts, pairs);
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            auto& writer = writers_.at(rows_[i].split);
            classify_ ? classification(std::move(encodings[i]), rows_[i].row.label, writer)
                      : language_modeling(std::move(encodings[i]), writer);
        }
    }
    /// The prompt is read and not trained; the last token of it has the completion's first as label, and the last token
    /// of the completion has the stop token, which is a label only. What max_length cuts away has no stop token either:
    /// a completion must not learn to end where it was cut.
    void generation(PromptedText&& text, Row const& row, SplitWriter& writer) {
        auto const longest = static_cast<std::size_t>(o_.max_length), prompt = text.prompt.size();
        if (prompt == 0 || prompt > longest)
            throw cluster::InputError(
                fmt::format("{}:{}: {}: {} tokens, after which nothing of the completion remains; legal: 1 to "
                            "--max-length {} tokens",
                            *row.file, row.line, o_.columns.text, prompt, o_.max_length));
        data::Sample sample{.tokens = std::move(text.prompt)};
        sample.tokens.insert(sample.tokens.end(), text.completion.begin(), text.completion.end());
        sample.token_labels.assign(prompt - 1, data::kIgnoredLabel);
        sample.token_labels.insert(sample.token_labels.end(), text.completion.begin(), text.completion.end());
        sample.token_labels.push_back(end_);
        cut_ += sample.tokens.size() > longest;
        apart_ += text.apart;
        sample.tokens.resize(std::min(sample.tokens.size(), longest));
        sample.token_labels.resize(sample.tokens.size());
        writer.add(std::move(sample));
    }
    void classification(Encoding&& e, std::string const& label, SplitWriter& writer) {
        cut_ += e.cut;
        data::Sample sample{.tokens = std::move(e.tokens)};
        if (std::ranges::any_of(e.segments, [](auto s) { return s != 0; })) sample.segments = std::move(e.segments);
        sample.label = static_cast<std::int32_t>(std::ranges::find(labels_, label) - labels_.begin());
        writer.add(std::move(sample));
    }
    /// Windows of max_length; the label of each token is the next one, also across the edge of a window.
    void language_modeling(Encoding&& e, SplitWriter& writer) {
        auto& tokens = e.tokens;
        if (end_ >= 0 && (tokens.empty() || tokens.back() != end_)) tokens.push_back(end_);
        auto const window = static_cast<std::size_t>(o_.max_length);
        cut_ += tokens.size() > window;
        for (std::size_t first = 0; first + 1 < tokens.size(); first += window) {
            std::size_t const end = std::min(tokens.size(), first + window);
            data::Sample sample;
            sample.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                                 tokens.begin() + static_cast<std::ptrdiff_t>(end));
            for (std::size_t t = first + 1; t <= end; ++t)
                sample.token_labels.push_back(t < tokens.size() ? tokens[t] : data::kIgnoredLabel);
            writer.add(std::move(sample));
        }
    }

    struct Waiting {
        Row row;
        std::string split;
    };
    PrepareOptions const& o_;
    Census const& census_;
    std::vector<std::string> const& labels_;
    bool classify_;
    Tokenizer tokenizer_;
    std::int32_t end_;
    std::map<std::string, SplitWriter> writers_;
    std::vector<Waiting> rows_;
    std::int64_t done_ = 0, cut_ = 0, apart_ = 0;
};

void copy_tokenizer(PrepareOptions const& o) {
    for (auto const* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"})
        if (fs::exists(o.tokenizer + "/" + name))
            fs::copy_file(o.tokenizer + "/" + name, o.output + "/" + name, fs::copy_options::overwrite_existing);
}

/// Beside the tokenizer, so that it goes into every export: what is generated ends where training said it ends.
void write_stop_token(PrepareOptions const& o, std::int32_t stop) {
    std::string const file = o.tokenizer + "/generation_config.json";
    auto json = nlohmann::ordered_json::object();
    if (fs::exists(file)) json = nlohmann::ordered_json::parse(cluster::read_file(file), nullptr, false);
    if (!json.is_object()) throw cluster::InputError(file + ": not a JSON object");
    auto& stops = json["eos_token_id"];
    if (!stops.is_array() || std::ranges::find(stops, nlohmann::ordered_json(stop)) == stops.end()) stops = stop;
    cluster::write_file(o.output + "/generation_config.json", json.dump(2) + "\n");
}

/// What became of rows that are not whole samples, for people.
std::string describe_rows(Census const& census, Converter const& converter, PrepareOptions const& o) {
    bool const prompted = o.task == "generation";
    std::string text =
        fmt::format("  {} rows read; {} without text dropped; {} longer than {} tokens {}; {} repeat an earlier {} ({} "
                    "with another {}, {} in another split)\n",
                    census.total, census.empty, converter.cut(), o.max_length,
                    prompted                     ? "cut, and trained without their stop token"
                    : o.task == "classification" ? "cut"
                                                 : "divided",
                    census.repeated, prompted ? "prompt" : "text", census.contradicting,
                    prompted ? "completion" : "label", census.in_two_splits);
    if (converter.apart())
        text +=
            fmt::format("  {} completions begin inside a token of the joined text and were tokenized apart from their "
                        "prompts: begin completions with the space that stands before them\n",
                        converter.apart());
    return text;
}

std::string describe(data::Manifest const& m, PrepareOptions const& o) {
    std::string text = fmt::format("{}: {} data in {}\n", o.output, m.task,
                                   m.splits.size() == 1 ? "1 split" : fmt::format("{} splits", m.splits.size()));
    for (auto const& [name, split] : m.splits) {
        text += fmt::format("  {:<11}{:>9} samples {:>11} tokens  longest {:>5}  {} shards", name, split.samples(),
                            split.tokens(), split.longest(), split.shards.size());
        for (std::size_t c = 0; c < m.labels.size(); ++c)
            text += fmt::format("{}{} {}", c ? ", " : "  labels: ", m.labels[c], split.label_counts[c]);
        text += "\n";
    }
    return text;
}

} // namespace

std::string prepare(PrepareOptions const& options) {
    PrepareOptions o = options;
    cluster::check_new_folder("--output", o.output);
    if (o.columns.label.empty() && o.task == "classification")
        throw cluster::InputError("--label: missing; legal: the name of the column with the classes");
    if (o.task == "generation" && (o.columns.text.empty() || o.columns.label.empty()))
        throw cluster::InputError("--prompt, --completion: missing; legal: the names of both columns");
    refuse_repeated_files(o);
    if (o.max_length == kChooseLength) {
        auto const most = positions_in_config(o);
        o.max_length = most > 0 ? std::min(kUsualLength, most) : kUsualLength;
    }
    check_model_beside(o, Tokenizer(o.tokenizer, o.task == "classification" ? o.max_length : 0));
    Census const census = take_census(o);
    data::Manifest manifest{.task = o.task,
                            .max_length = o.max_length,
                            .tokenizer_xxh3 = cluster::xxh3_of_file(o.tokenizer + "/tokenizer.json")};
    if (o.task == "classification") manifest.labels = class_names(census, o);
    cluster::StagingFolder const staged(o.output);
    o.output = staged.path();
    Converter converter(o, census, manifest.labels);
    for_each_row(o, [&](Row&& row, std::string const& split) { converter.add(std::move(row), split); });
    converter.finish(manifest);
    manifest.summary = nlohmann::ordered_json{{"rows", census.total},
                                              {"empty_dropped", census.empty},
                                              {"longer_than_max_length", converter.cut()},
                                              {"completions_cut_apart", converter.apart()},
                                              {"repeated_texts", census.repeated},
                                              {"repeated_with_another_label", census.contradicting},
                                              {"repeated_in_another_split", census.in_two_splits}}
                           .dump();
    copy_tokenizer(o);
    if (o.task == "generation") write_stop_token(o, converter.end());
    data::write_manifest(o.output, manifest);
    staged.commit();
    o.output = options.output;
    return describe(manifest, o) + describe_rows(census, converter, o);
}

} // namespace trireme::launch::text
