// `trireme evaluate`: exact metrics of a model on a split.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/output_file.hpp"
#include "cluster/process.hpp"
#include "framework/jobs/evaluate.hpp"
#include "launch/commands.hpp"
#include "launch/evaluate_choices.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"
#include "launch/pooling.hpp"
#include "launch/shown_progress.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

/// Classes beyond which a matrix does not fit a terminal, and the confusions that stand for it.
constexpr std::size_t kWidestMatrix = 10, kShownConfusions = 20;

std::string score(double value) {
    return std::isnan(value) ? "-" : fmt::format("{:.4f}", value);
}

/// A name in at most `most` bytes, without control characters.
std::string shown(std::string const& name, std::size_t most = 20) {
    std::string text = cluster::one_line(name);
    if (text.size() <= most) return text;
    std::size_t end = most - 3;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end; // of UTF-8
    return text.substr(0, end) + "...";
}

/// `what` and `counted`: of the names, and of what there is of each.
std::string table_of_scores(
    char const* what, char const* counted,
    std::vector<std::pair<std::string, framework::evaluation::ClassScores>> const& rows) {
    std::string text = fmt::format("\n{:<20}  {:>9}  {:>9}  {:>9}  {:>9}\n", what, "precision",
                                   "recall", "f1", counted);
    for (auto const& [name, scores] : rows)
        text += fmt::format("{:<20}  {:>9}  {:>9}  {:>9}  {:>9}\n", shown(name),
                            score(scores.precision), score(scores.recall), score(scores.f1),
                            scores.support);
    return text;
}

std::string table_of_classes(framework::evaluation::Metrics const& metrics,
                             std::vector<std::string> const& labels) {
    std::vector<std::pair<std::string, framework::evaluation::ClassScores>> rows;
    for (auto const& scores : framework::evaluation::class_scores(metrics.confusion))
        rows.emplace_back(labels.at(rows.size()), scores);
    return table_of_scores("class", "samples", rows);
}

std::string matrix_of_classes(framework::evaluation::Metrics const& metrics,
                              std::vector<std::string> const& labels) {
    std::string text = fmt::format("\n{:<20}", "label \\ prediction");
    for (auto const& label : labels) text += fmt::format("  {:>9}", shown(label, 9));
    text += "\n";
    for (std::size_t c = 0; c < labels.size(); ++c) {
        text += fmt::format("{:<20}", shown(labels[c]));
        for (auto const count : metrics.confusion[c]) text += fmt::format("  {:>9}", count);
        text += "\n";
    }
    return text;
}

/// The commonest mistakes, where a matrix would not fit.
std::string commonest_confusions(framework::evaluation::Metrics const& metrics,
                                 std::vector<std::string> const& labels) {
    struct Confusion {
        std::int64_t count;
        std::size_t label, prediction;
    };
    std::vector<Confusion> all;
    for (std::size_t l = 0; l < labels.size(); ++l)
        for (std::size_t p = 0; p < labels.size(); ++p)
            if (l != p && metrics.confusion[l][p] > 0)
                all.push_back({metrics.confusion[l][p], l, p});
    std::ranges::stable_sort(all, std::ranges::greater{}, &Confusion::count);
    std::string text = fmt::format("\n{:<20}  {:<20}  {:>9}\n", "label", "taken for", "samples");
    for (std::size_t i = 0; i < std::min(all.size(), kShownConfusions); ++i)
        text += fmt::format("{:<20}  {:<20}  {:>9}\n", shown(labels[all[i].label]),
                            shown(labels[all[i].prediction]), all[i].count);
    if (all.size() > kShownConfusions)
        text += fmt::format("and {} rarer ones\n", all.size() - kShownConfusions);
    return text;
}

std::string tables(framework::jobs::Evaluation const& found) {
    auto const& metrics = found.metrics;
    std::string text = fmt::format("{:<20}  {:>9}\n", "samples", metrics.samples);
    for (auto const& [name, value] : metrics.values)
        text += fmt::format("{:<20}  {:>9}\n", name, score(value));
    if (metrics.entities) text += table_of_scores("type", "entities", *metrics.entities);
    if (metrics.confusion.empty()) return text;
    text += table_of_classes(metrics, found.labels);
    return text + (found.labels.size() > kWidestMatrix ? commonest_confusions(metrics, found.labels)
                                                       : matrix_of_classes(metrics, found.labels));
}

std::string json_line_of(framework::jobs::Evaluation const& found) {
    auto line = found.metrics.to_json();
    if (!found.metrics.confusion.empty())
        line.update(framework::evaluation::classes_to_json(found.metrics.confusion, found.labels));
    if (!found.metrics.reliability.empty())
        line["reliability"] = framework::evaluation::reliability_to_json(found.metrics.reliability);
    line["compute"] = framework::parallelize::name_of(found.compute);
    return line.dump() + "\n";
}

struct EvaluateRequest {
    framework::jobs::EvaluationJob job;
    ChoiceRequest choices;
    std::string predictions, pooling;
    bool force = false, for_people = false;
    std::optional<cluster::OutputFile> file = {}; ///< at `predictions`
};

/// Options of prompts that fill `r`, which must outlive them.
void add_choices(po::options_description& options, ChoiceRequest& r) {
    // clang-format off
    options.add_options()
        ("shots", po::value<std::int64_t>()->value_name("K")->notifier(
             [&r](std::int64_t shots) { r.shots = shots; }),
         "what K examples of the split train reach without training. With --template: rank the "
         "labels of --data by how likely the model finds them behind the examples (0: behind "
         "none). Without: give each text the label that most of its nearest examples have, by the "
         "cosine of the means of their last hidden states")
        ("neighbours", po::value<std::int64_t>()->value_name("N")->notifier(
             [&r](std::int64_t neighbours) { r.neighbours = neighbours; }),
         "how many nearest of the --shots; default: 5, or all if there are fewer")
        ("template", po::value(&r.prompt)->value_name("FILE"),
         "JSON file with the text of a prompt: {\"template\": \"{text} It was {label}\", "
         "\"labels\": {NAME: WORD}}")
        ("shots-seed", po::value(&r.seed)->default_value(1)->value_name("N"),
         "seed by which examples are chosen")
        ("choices", po::value(&r.choices)->value_name("FILE"),
         "in place of --data: rows of question, choices and answer, ranked likewise")
        ("pairs", po::value(&r.pairs)->value_name("FILE"),
         "in place of --data: rows of more and less, two sentences of which `accuracy` counts "
         "those pairs whose first is likelier");
    // clang-format on
}

/// Options that fill `r`, which must outlive them.
po::options_description evaluate_options(EvaluateRequest& r) {
    auto& job = r.job;
    po::options_description options(
        "trireme evaluate --model FOLDER --data FOLDER: exact metrics of a model on a split, the "
        "same for any rank "
        "count\n\n"
        "  mpirun -n 2 trireme evaluate --model exported --data data-reviews --split test\n"
        "  mpirun -n 8 trireme evaluate --model large --data data --set parallel.pipeline=2 --set "
        "parallel.tensor=4\n"
        "  trireme evaluate --model MODEL --data data-reviews --shots 4 --template prompt.json\n"
        "  trireme evaluate --model quickstart/model --data data-reviews --shots 16 --neighbours "
        "3\n\n"
        "Options");
    options.add_options()("model", po::value(&job.model)->required()->value_name("FOLDER"),
                          "Hugging Face folder")("data", po::value(&job.data)->value_name("FOLDER"),
                                                 "folder that `trireme prepare` wrote")(
        "split", po::value(&job.split)->default_value("test")->value_name("NAME"),
        "name of the split")(
        "tokens-per-micro-batch",
        po::value(&job.tokens_per_micro_batch)->default_value(2048)->value_name("N"),
        "upper limit of a packed micro-batch")(
        "set", po::value(&job.set)->composing()->value_name("KEY=VALUE"),
        "parallel.* and numerics.compute; may be repeated")(
        "table", po::bool_switch(&r.for_people),
        "print tables for people in place of a line of JSON")(
        "pooling", po::value(&r.pooling)->default_value("mean")->value_name("mean|max"),
        "of the outputs of a document that was divided into windows")(
        "predictions", po::value(&r.predictions)->value_name("FILE"),
        "file for one JSON line per sample, or per question; must not exist")(
        "force", po::bool_switch(&r.force), "replace the file of --predictions");
    add_choices(options, r.choices);
    return options;
}

void check_request(EvaluateRequest& r) {
    check_choices(r.choices, r.job.data);
    if (r.job.data.empty() && !r.choices.has_file())
        throw cluster::InputError("--data: missing; legal: folder that `trireme prepare` wrote, or "
                                  "--choices FILE, or --pairs FILE");
    r.job.pooling = pooling_named(r.pooling);
    // Rank 0 writes it, and may alone see the folder.
    if (r.predictions.empty() || launcher_rank() > 0) return;
    auto const& read = r.job.data.empty() ? r.choices.file() : r.job.data;
    cluster::refuse_input("--predictions", r.predictions, {r.job.model, read}, ".jsonl");
    r.job.predictions = &r.file.emplace("--predictions", r.predictions, existing(r.force));
}

framework::jobs::Evaluation evaluate(EvaluateRequest const& r, TextService* service,
                                     cluster::Communicator& world) {
    if (r.choices.prompts()) return evaluate_choices(r.job, r.choices, service, world);
    if (r.choices.nearest()) return evaluate_nearest(r.job, r.choices, world);
    return framework::jobs::evaluate_model(r.job, world);
}

} // namespace

int evaluate_command(std::vector<std::string> const& arguments) {
    EvaluateRequest r;
    po::options_description options = evaluate_options(r);
    if (!parse(options, arguments)) return 0;
    check_request(r);
    std::optional<TextService> service; // before MPI_Init, and without Python in this process
    if (r.choices.prompts() && launcher_rank() <= 0) service.emplace(r.job.model);
    return under_mpi([&](cluster::Communicator& world) {
        if (world.rank() != 0) service.reset();
        r.job.progress = ShownProgress("evaluated");
        auto const found = evaluate(r, service ? &*service : nullptr, world);
        if (world.rank() == 0)
            cluster::print_text(r.for_people ? tables(found) : json_line_of(found));
        return cluster::kDone;
    });
}

} // namespace trireme::launch
