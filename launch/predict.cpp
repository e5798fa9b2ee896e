// `trireme predict`: what a classifier or a regression says of texts without labels.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/output_file.hpp"
#include "cluster/process.hpp"
#include "cluster/utf8.hpp"
#include "data/json.hpp"
#include "framework/jobs/evaluate.hpp"
#include "launch/commands.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"
#include "launch/text_service.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

using Json = nlohmann::ordered_json;

constexpr char const* kStandardInput = "-";
constexpr std::size_t kBlock = 1024; ///< texts read, computed and written together

struct Request {
    std::string input, text, pair, output;
    std::int64_t max_length = 0;
    bool force = false;
    framework::jobs::EvaluationJob job;
    std::optional<cluster::OutputFile> lines; ///< at `output`
};

/// The texts, block by block, on rank 0. Blanks alone have no tokens.
class Texts {
  public:
    /// Throws InputError for a file without such rows, and for a length that is not legal.
    Texts(Request const& r, TextService& service)
        : service_(service), from_standard_input_(r.input == kStandardInput) {
        for (auto const& [option, word] :
             {std::pair{"--input", &r.input}, {"--text", &r.text}, {"--pair", &r.pair}})
            if (!cluster::is_utf8(*word))
                throw cluster::InputError(fmt::format("{}: {}: legal: a name in UTF-8", option,
                                                      cluster::one_line(*word)));
        if (r.text.empty())
            throw cluster::InputError("--text: legal: the name of a column, not an empty one");
        service_.hello();
        length_ = service_.ask({{"length", r.max_length}}).at("length").get<std::int64_t>();
        if (!from_standard_input_)
            service_.ask({{"open", r.input}, {"text", r.text}, {"pair", r.pair}});
    }
    std::int64_t length() const { return length_; }

    /// {"texts", "pairs", "sources", "tokens", "segments", "cut"}, lists that are empty at the end.
    nlohmann::json next() {
        if (!from_standard_input_) return service_.ask({{"next", kBlock}});
        std::vector<std::string> texts, sources;
        for (std::string line; texts.size() < kBlock && std::getline(std::cin, line);) {
            std::string source = fmt::format("standard input:{}", ++line_);
            if (line.ends_with('\r')) line.pop_back();
            if (!cluster::is_utf8(line))
                throw cluster::InputError(source + ": not UTF-8; legal: a text in UTF-8 per line");
            texts.push_back(std::move(line));
            sources.push_back(std::move(source));
        }
        nlohmann::json block = service_.ask({{"encode", texts}});
        block["sources"] = sources;
        return block;
    }

  private:
    TextService& service_;
    bool from_standard_input_;
    std::int64_t length_ = 0, line_ = 0;
};

/// Counts what the line at the end says.
struct Summary {
    std::int64_t texts = 0, blank = 0, cut = 0;
    std::map<std::string, std::int64_t> predicted; ///< texts of each class

    void add(Json const& line) {
        if (line.contains("prediction") && line["prediction"].is_string())
            ++predicted[line["prediction"].get<std::string>()];
    }
    std::string line(std::int64_t length) const {
        std::vector<std::string> classes;
        for (auto const& [name, count] : predicted)
            classes.push_back(fmt::format("{} {}", cluster::one_line(name), count));
        return fmt::format(
            "{}{}{}{}{}\n", cluster::counted(texts, "text"), classes.empty() ? "" : ": ",
            fmt::join(classes, ", "),
            blank ? fmt::format("; {} without a word, and so without a prediction", blank) : "",
            cut ? fmt::format("; {} cut to {}", cut, cluster::counted(length, "token")) : "");
    }
};

/// The lines of a block, of which `found` has those of the texts that have tokens.
std::string lines_of(nlohmann::json const& block, std::vector<Json> const& found, Summary& sum) {
    std::string text;
    auto of_text = found.begin();
    for (std::size_t i = 0; i < block.at("texts").size(); ++i) {
        Json line{{"source", block.at("sources")[i]}, {"text", block.at("texts")[i]}};
        if (!block.at("pairs").empty()) line["pair"] = block.at("pairs")[i];
        ++sum.texts;
        if (block.at("tokens")[i].empty()) {
            ++sum.blank;
            line["prediction"] = nullptr;
        } else {
            bool const cut = block.at("cut")[i].get<bool>();
            sum.cut += cut;
            if (cut) line["cut"] = true;
            line.update(*of_text++);
            sum.add(line);
        }
        text += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    }
    return text;
}

int predict(Request& r, TextService* service, cluster::Communicator& world) {
    std::optional<Texts> texts;
    if (world.rank() == 0) {
        texts.emplace(r, service_of_rank_0(service));
    }
    framework::jobs::Predictor predictor(r.job, world);
    Summary sum;
    std::string kept; // a file appears whole or not at all
    for (;;) {
        nlohmann::json const block = texts ? texts->next() : nlohmann::json();
        nlohmann::json const shared = data::parse_json(
            "tokens", cluster::broadcast_bytes(
                          world,
                          texts ? nlohmann::json{block.at("tokens"), block.at("segments")}.dump()
                                : std::string(),
                          0, "predict/tokens"));
        if (shared[0].empty()) break;
        std::vector<framework::jobs::Predictor::Text> some;
        for (std::size_t i = 0; i < shared[0].size(); ++i)
            if (!shared[0][i].empty()) some.push_back({shared[0][i], shared[1][i]});
        auto const found = predictor.predict(std::move(some));
        if (world.rank() != 0) continue;
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

} // namespace

int predict_command(std::vector<std::string> const& arguments) {
    Request r;
    po::options_description options(
        "trireme predict MODEL: labels or numbers for texts that have none, the same for any rank "
        "count\n\n"
        "  echo 'a film to see twice' | trireme predict exported\n"
        "  trireme predict exported --input new.csv --output predictions.jsonl\n"
        "  mpirun -n 2 trireme predict exported --input pairs.jsonl --text question --pair "
        "answer\n\nEach line of JSON says where the text stands, the text, what is predicted, and "
        "the probability of\neach class.\n\nOptions");
    options.add_options()("model", po::value(&r.job.model)->required(), "Hugging Face folder")(
        "input", po::value(&r.input)->value_name("FILE")->default_value(kStandardInput),
        "file of any kind that `prepare` reads; -: standard input, a text per line, read to its "
        "end "
        "or by the thousand")("text", po::value(&r.text)->value_name("NAME")->default_value("text"),
                              "name of the text column")(
        "pair", po::value(&r.pair)->value_name("NAME"),
        "name of the column with the second text, if there is one")(
        "max-length", po::value(&r.max_length)->value_name("N")->default_value(0),
        "tokens at which a text is cut; 0: 512, or less where model or tokenizer have less")(
        "output", po::value(&r.output)->value_name("FILE"),
        "JSONL file to write; must not exist; default: standard output")(
        "force", po::bool_switch(&r.force), "replace the file of --output")(
        "tokens-per-micro-batch",
        po::value(&r.job.tokens_per_micro_batch)->default_value(2048)->value_name("N"),
        "upper limit of a packed micro-batch")(
        "set", po::value(&r.job.set)->composing()->value_name("KEY=VALUE"),
        "parallel.* and numerics.compute; may be repeated");
    if (!parse(options, arguments, "model")) return 0;
    if (r.input == kStandardInput && !r.pair.empty())
        throw cluster::InputError("--pair: legal with --input FILE only");
    if (!r.output.empty() && launcher_rank() <= 0) {
        cluster::refuse_input("--output", r.output, {r.job.model, r.input}, ".jsonl");
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
