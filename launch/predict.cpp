// `trireme predict`: what a model says of texts without labels.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/output_file.hpp"
#include "cluster/process.hpp"
#include "data/json.hpp"
#include "framework/jobs/evaluate.hpp"
#include "launch/commands.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"
#include "launch/pooling.hpp"
#include "launch/prediction_summary.hpp"
#include "launch/text_blocks.hpp"
#include "launch/text_service.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostWords = 1000;

struct PredictRequest {
    TextSource source;
    std::string output;
    bool force = false;
    framework::jobs::EvaluationJob job;
    std::optional<cluster::OutputFile> lines; ///< at `output`
};

/// Adds the words of tokens that are to fill in hidden ones.
void spell_fills(std::vector<Json>& lines, TextService& service) {
    std::vector<Json*> fills;
    auto tokens = Json::array();
    for (auto& line : lines) {
        if (!line.contains("masks")) continue;
        for (auto& mask : line["masks"])
            for (auto& fill : mask) {
                tokens.push_back(Json::array({fill.at("token")}));
                fills.push_back(&fill);
            }
    }
    if (fills.empty()) return;
    nlohmann::json const texts = service.ask({{"decode", tokens}}).at("texts");
    for (std::size_t i = 0; i < fills.size(); ++i) (*fills[i])["word"] = texts.at(i);
}

/// Gives every rank what rank 0 has read of a block.
nlohmann::json shared_by_all(nlohmann::json const& block, cluster::Communicator& world) {
    std::string text;
    if (world.rank() == 0) {
        nlohmann::json shared;
        for (auto const* list : {"windows", "words", "places", "pairs"})
            shared[list] = block.at(list);
        text = shared.dump();
    }
    return data::parse_json("tokens", cluster::broadcast_bytes(world, text, 0, "predict/tokens"));
}

/// The texts of a block that have tokens.
std::vector<framework::jobs::UnlabelledText> unlabelled_texts_of(nlohmann::json const& block) {
    std::vector<framework::jobs::UnlabelledText> texts;
    for (std::size_t i = 0; i < block.at("windows").size(); ++i) {
        auto const& windows = block["windows"][i];
        if (windows.empty()) continue;
        auto& text = texts.emplace_back();
        for (auto const& window : windows)
            text.windows.push_back({.tokens = window.at("tokens"),
                                    .segments = window.at("segments"),
                                    .labels = window.at("labels")});
        if (!block.at("pairs").empty()) text.context = block["pairs"][i].get<std::string>();
        block.at("words")[i].get_to(text.words);
        block.at("places")[i].get_to(text.word_places);
    }
    return texts;
}

int predict(PredictRequest& r, TextService* service, cluster::Communicator& world) {
    std::optional<TextBlocks> texts;
    if (world.rank() == 0) {
        r.source.task = [&r] { return framework::jobs::task_of_model(r.job.model).name; };
        texts.emplace(r.source, service_of_rank_0(service));
    }
    framework::jobs::Predictor predictor(r.job, world);
    PredictionSummary sum;
    std::string kept; // a file appears whole or not at all
    for (;;) {
        nlohmann::json const block = texts ? texts->next() : nlohmann::json();
        nlohmann::json const shared = shared_by_all(block, world);
        if (shared.at("windows").empty()) break;
        auto found = predictor.predict(unlabelled_texts_of(shared));
        if (world.rank() != 0) continue;
        spell_fills(found, texts->service());
        std::string const lines = lines_of(block, found, sum);
        if (r.lines)
            kept += lines;
        else
            cluster::print_text(lines);
    }
    if (world.rank() != 0) return cluster::kDone;
    if (r.lines) r.lines->write(kept);
    cluster::say_text(sum.line(texts->length()));
    return cluster::kDone;
}

struct ColumnOption {
    char const *name, *value, *help;
};
/// Options of `prepare` that a row without labels has; the model decides its task.
constexpr ColumnOption kColumnOptions[] = {
    {"text", "NAME",
     "name of the text column (default: text), or of that of a list of words or of a text that "
     "blanks divide into words (default: tokens)"},
    {"pair", "NAME", "name of the column with the second text, if there is one"},
    {"question", "NAME", "name of the question column (default: question)"},
    {"context", "NAME", "name of the column that answers are of (default: context)"},
    {"windows", "STRIDE",
     "a text that is longer than --max-length is divided in place of being cut, each window with "
     "the last STRIDE tokens of the one before"},
    {"stride", "N",
     "the same of a context, which is always divided (default: a third of "
     "--max-length)"}};

void declare_columns(po::options_description& options, PredictRequest& r) {
    for (auto const& [name, value, help] : kColumnOptions)
        options.add_options()(name,
                              po::value<std::string>()->value_name(value)->notifier(
                                  [&r, name](auto const& word) { r.source.options[name] = word; }),
                              help);
}

/// Checks options together.
void check_prediction(PredictRequest& r, std::string const& pooling) {
    if (r.source.input == kStandardInput && r.source.options.contains("pair"))
        throw cluster::InputError("--pair: legal with --input FILE only");
    if (!(r.job.choice.threshold > 0 && r.job.choice.threshold < 1))
        throw cluster::InputError(
            fmt::format("--threshold: {}: legal: a number between 0 and 1, which are not",
                        r.job.choice.threshold));
    if (r.job.choice.words < 1 || r.job.choice.words > kMostWords)
        throw cluster::InputError(
            fmt::format("--top: {}: legal: 1 to {}", r.job.choice.words, kMostWords));
    r.job.pooling = pooling_named(pooling);
}

} // namespace

int predict_command(std::vector<std::string> const& arguments) {
    PredictRequest r;
    std::string pooling;
    po::options_description options(
        "trireme predict MODEL: labels, numbers, answers or hidden words for texts that have "
        "none, the same for any rank count\n\n"
        "  echo 'a film to see twice' | trireme predict exported\n"
        "  trireme predict exported --input new.csv --output predictions.jsonl\n"
        "  mpirun -n 2 trireme predict exported --input pairs.jsonl --text question --pair "
        "answer\n\nEach line of JSON says where the text stands, the text, and what is predicted: "
        "the probability of\neach class or label; the class of each word, and entities with their "
        "words; or the best answers of\na context; or the likeliest words for each mask "
        "token.\n\nOptions");
    options.add_options()("model", po::value(&r.job.model)->required(), "Hugging Face folder")(
        "input", po::value(&r.source.input)->value_name("FILE")->default_value(kStandardInput),
        "file of any kind that `prepare` reads; -: standard input, a text per line, read to its "
        "end "
        "or by the thousand")(
        "max-length", po::value(&r.source.max_length)->value_name("N")->default_value(0),
        "tokens at which a text is cut; 0: 512, or less where model or tokenizer have less")(
        "threshold", po::value(&r.job.choice.threshold)->value_name("P")->default_value(0.5, "0.5"),
        "probability from which one of several labels is predicted")(
        "pooling", po::value(&pooling)->default_value("mean")->value_name("mean|max"),
        "of the outputs of a text that --windows divides")(
        "always-answer", po::bool_switch(&r.job.choice.always_answers),
        "give the best answer to every question, though it may score less than none")(
        "top", po::value(&r.job.choice.words)->value_name("N")->default_value(5),
        "words that are named for each mask token")(
        "output", po::value(&r.output)->value_name("FILE"),
        "JSONL file to write; must not exist; default: standard output")(
        "force", po::bool_switch(&r.force), "replace the file of --output")(
        "tokens-per-micro-batch",
        po::value(&r.job.tokens_per_micro_batch)->default_value(2048)->value_name("N"),
        "upper limit of a packed micro-batch")(
        "set", po::value(&r.job.set)->composing()->value_name("KEY=VALUE"),
        "parallel.* and numerics.compute; may be repeated");
    declare_columns(options, r);
    if (!parse(options, arguments, "model")) return 0;
    check_prediction(r, pooling);
    if (!r.output.empty() && launcher_rank() <= 0) {
        cluster::refuse_input("--output", r.output, {r.job.model, r.source.input}, ".jsonl");
        r.lines.emplace("--output", r.output, existing(r.force));
    }
    std::optional<TextService> service; // before MPI_Init, and without Python in this process
    if (launcher_rank() <= 0)           // else MPI's rank 0 is another process
        service.emplace(r.job.model);
    return under_mpi([&](cluster::Communicator& world) {
        if (world.rank() != 0) service.reset();
        return predict(r, service ? &*service : nullptr, world);
    });
}

} // namespace trireme::launch
