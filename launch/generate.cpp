#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/gather.hpp"
#include "cluster/output_file.hpp"
#include "cluster/process.hpp"
#include "data/json.hpp"
#include "framework/jobs/generate.hpp"
#include "launch/commands.hpp"
#include "launch/conversation.hpp"
#include "launch/generate_help.hpp"
#include "launch/generation_summary.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"
#include "launch/prompts.hpp"
#include "launch/shown_tokens.hpp"
#include "launch/text_service.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

using Json = nlohmann::ordered_json;

struct GenerateRequest {
    std::string prompt, file, output, prompt_column, completion_column, stream, chat_template;
    bool force = false, chat = false;
    framework::jobs::GenerationJob job;
    std::optional<cluster::OutputFile> lines; ///< at `output`
};

/// Says how many completions have no boundary with their prompt where the tokenizer sees one.
void warn_of_joined(nlohmann::json const& apart, PromptTexts const& texts) {
    if (apart.empty()) return;
    cluster::say("note: {}: {} where the tokenizer joins the end of the prompt to the next word, "
                 "and the model meets tokens that no text has: end prompts without the blank, and "
                 "let completions begin with it\n",
                 texts.names[apart.front()],
                 apart.size() == 1
                     ? "the completion begins"
                     : fmt::format("{} completions begin, this the first of them,", apart.size()));
}

/// Prompts and references as tokens. Rank 0 has the tokenizer.
void tokenize(GenerateRequest& r, PromptTexts const& texts, TextService& service) {
    service.hello();
    auto const answer =
        service.ask({{"prompts", texts.prompts}, {"completions", texts.references_or_empty()}});
    for (std::size_t i = 0; i < texts.prompts.size(); ++i) {
        r.job.prompts.push_back(
            {static_cast<std::int64_t>(i), answer["prompts"][i], texts.names[i]});
        std::vector<std::int32_t> reference;
        if (texts.references[i]) {
            reference = answer["completions"][i].get<std::vector<std::int32_t>>();
            if (!r.job.options.stops.empty()) reference.push_back(r.job.options.stops.front());
        }
        r.job.references.push_back(std::move(reference));
    }
    warn_of_joined(answer["apart"], texts);
}

/// Gives every rank what rank 0 read. Collective.
void share(GenerateRequest& r, cluster::Communicator& world) {
    Json mine = Json::array();
    for (std::size_t i = 0; i < r.job.prompts.size(); ++i)
        mine.push_back({r.job.prompts[i].name, r.job.prompts[i].tokens, r.job.references[i]});
    Json const all = data::parse_json<Json>(
        "generation/prompts",
        cluster::broadcast_bytes(world, mine.dump(), 0, "generation/prompts"));
    if (world.rank() == 0) return;
    for (auto const& p : all) {
        r.job.prompts.push_back({static_cast<std::int64_t>(r.job.prompts.size()), p[1], p[0]});
        r.job.references.push_back(p[2]);
    }
}

/// One line of output, and its part of the summary.
Json describe(std::size_t i, PromptTexts const& texts, std::string const& text,
              framework::jobs::GenerationResult const& result, Json const& score,
              GenerationSummary& sum) {
    auto const& c = result.completions[i];
    Json line{{"prompt", texts.prompts[i]},
              {"completion", text},
              {"tokens", c.tokens},
              {"log_probability", c.log_probability},
              {"ended_by", framework::generation::name_of(c.ending)}};
    ++sum.prompts;
    sum.tokens += static_cast<std::int64_t>(c.tokens.size());
    sum.stopped += c.ending == framework::generation::Ending::stop;
    sum.out_of_positions += c.ending == framework::generation::Ending::max_positions;
    if (!texts.references[i]) return line;
    auto const& reference = result.references[i];
    double const exact = same_but_for_blanks_around(text, *texts.references[i]);
    line.update({{"reference", *texts.references[i]},
                 {"exact_match", exact},
                 {"exact_match_normalized", score["exact_match"]},
                 {"f1", score["f1"]},
                 {"rouge_l", score["rouge_l"]}});
    if (reference.tokens > 0) // none without a stop token, if nothing is to be said
        line["perplexity"] = std::exp(reference.loss / static_cast<double>(reference.tokens));
    ++sum.scored;
    sum.exact_match += exact;
    sum.exact_match_normalized += score["exact_match"].get<double>();
    sum.f1 += score["f1"].get<double>();
    sum.rouge_l += score["rouge_l"].get<double>();
    sum.loss += reference.loss;
    sum.reference_tokens += reference.tokens;
    return line;
}

void write_lines(GenerateRequest& r, PromptTexts const& texts,
                 framework::jobs::GenerationResult const& result, TextService& service,
                 double seconds) {
    nlohmann::json tokens = nlohmann::json::array(), pairs = nlohmann::json::array();
    for (auto const& c : result.completions) tokens.push_back(c.tokens);
    nlohmann::json const decoded = service.ask({{"decode", tokens}})["texts"];
    for (std::size_t i = 0; i < texts.prompts.size(); ++i)
        pairs.push_back({decoded[i], texts.references[i].value_or("")});
    Json const scores = service.ask({{"score", pairs}})["scores"];
    GenerationSummary sum;
    std::string lines;
    for (std::size_t i = 0; i < texts.prompts.size(); ++i)
        lines += describe(i, texts, decoded[i], result, scores[i], sum).dump() + "\n";
    std::string const summary = sum.to_json(seconds).dump() + "\n";
    if (r.lines) {
        r.lines->write(lines);
        fmt::print("{}", summary);
    } else {
        fmt::print("{}", lines);
        cluster::say_text(summary);
    }
}

/// Says how the completion of the one prompt ended, once its text stands on the terminal.
void describe_end(framework::generation::Completion const& c) {
    cluster::say("{}, log-probability {:.4f}, ended by {}\n",
                 cluster::counted(c.tokens.size(), "token"), c.log_probability,
                 framework::generation::name_of(c.ending));
}

bool streams(GenerateRequest const& r) {
    return r.stream == "always" || (r.stream == "auto" && isatty(STDOUT_FILENO));
}

void warn_without_stops(GenerateRequest const& r) {
    if (r.job.options.stops.empty())
        cluster::say("{}: no eos_token_id in generation_config.json or config.json: nothing ends a "
                     "completion but "
                     "--max-new-tokens\n",
                     r.job.model);
}

int chat(GenerateRequest& r, TextService* text, cluster::Communicator& world) {
    if (world.size() != 1)
        throw cluster::InputError(
            fmt::format("--chat: {} ranks: legal: 1, which talks to the terminal", world.size()));
    TextService& service = service_of_rank_0(text);
    service.hello();
    auto& stops = r.job.options.stops;
    for (auto const stop : open_template(service, r.chat_template))
        if (std::ranges::find(stops, stop) == stops.end()) stops.push_back(stop);
    warn_without_stops(r);
    framework::jobs::run_conversation(r.job, world, [&](auto const& complete) {
        converse(service, streams(r), [&](auto const& prompt, auto const& each) -> Answer {
            auto const made =
                complete(prompt, [&](std::int64_t, std::int32_t token) { each(token); });
            return {made.tokens, framework::generation::name_of(made.ending)};
        });
    });
    return cluster::kDone;
}

int generate(GenerateRequest& r, TextService* service, cluster::Communicator& world) {
    PromptTexts texts;
    if (world.rank() == 0) {
        TextService& tokenizer = service_of_rank_0(service);
        texts = r.file.empty() ? PromptTexts{{r.prompt}, {std::nullopt}, {"--prompt"}}
                               : read_prompts(r.file, r.prompt_column, r.completion_column);
        tokenize(r, texts, tokenizer);
    }
    share(r, world);
    if (world.rank() == 0) warn_without_stops(r);
    bool const single = r.file.empty();
    ShownTokens shown(service, streams(r));
    framework::generation::Listener listener;
    if (single) listener = [&](std::int64_t, std::int32_t token) { shown.add(token); };
    auto const start = std::chrono::steady_clock::now();
    auto const result = framework::jobs::run_generation(r.job, world, listener);
    if (world.rank() != 0) return cluster::kDone;
    if (single) {
        shown.end(result.completions[0].tokens);
        describe_end(result.completions[0]);
    } else {
        write_lines(
            r, texts, result, *service,
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return cluster::kDone;
}

void check_generation(GenerateRequest const& r) {
    if (!r.prompt.empty() + !r.file.empty() + r.chat != 1)
        throw cluster::InputError("--prompt, --prompts, --chat: legal: one of them: --prompt TEXT, "
                                  "--prompts FILE or --chat");
    if (!r.chat && !r.chat_template.empty())
        throw cluster::InputError("--chat-template: legal with --chat only");
    if (r.file.empty() && !r.output.empty())
        throw cluster::InputError("--output: legal with --prompts only");
    if (r.job.threads < 0)
        throw cluster::InputError(
            fmt::format("--threads: {}: legal: a whole number >= 0", r.job.threads));
    if (r.stream != "auto" && r.stream != "always" && r.stream != "never")
        throw cluster::InputError("--stream: " + r.stream + ": legal: auto, always, never");
}

/// Options that fill `r`, and `temperature` if it is given; both must outlive them.
po::options_description generate_options(GenerateRequest& r, std::optional<double>& temperature) {
    auto& o = r.job.options;
    po::options_description options(kGenerateHelp);
    auto const word = [](auto* to, char const* name) { return po::value(to)->value_name(name); };
    // clang-format off
    options.add_options()
        ("model", po::value(&r.job.model)->required(), "Hugging Face folder")
        ("prompt", word(&r.prompt, "TEXT"), "text to go on from")
        ("chat", po::bool_switch(&r.chat),
         "a conversation: each line of the input is a turn of the user; /help lists commands")
        ("chat-template", word(&r.chat_template, "NAME"),
         "of --chat: chatml, a file, or the name of one of the model's; default: the model's own")
        ("prompts", word(&r.file, "FILE"), "JSONL file of prompts, one object per line")
        ("output", word(&r.output, "FILE"),
         "JSONL file to write; must not exist; default: standard output")
        ("force", po::bool_switch(&r.force), "replace the file of --output")
        ("prompt-column", word(&r.prompt_column, "NAME")->default_value("prompt"),
         "name of the prompt's field")
        ("completion-column", word(&r.completion_column, "NAME")->default_value(kCompletionColumn),
         "name of the reference's field; rows without it are not scored")
        ("max-new-tokens", word(&o.max_new_tokens, "N")->default_value(128), "longest completion")
        ("temperature", po::value<double>()->value_name("X")->notifier(
                            [&temperature](double t) { temperature = t; }),
         "sampling temperature; 0: greedy. Default: 1 with --top-k or --top-p, else 0")
        ("top-k", word(&o.sampling.top_k, "N")->default_value(0),
         "sample from the k likeliest tokens; 0: off")
        ("top-p", word(&o.sampling.top_p, "X")->default_value(1.0, "1"),
         "sample from the likeliest tokens that hold this probability; 1: off")
        ("repetition-penalty", word(&o.sampling.repetition_penalty, "X")->default_value(1.0, "1"),
         "logits of tokens that occurred are divided by it (multiplied if negative); 1: off")
        ("seed", word(&o.sampling.seed, "N")->default_value(1), "seed of sampling")
        ("batch", word(&o.batch, "N")->default_value(8), "prompts decoded together on a rank")
        ("threads", word(&r.job.threads, "N")->default_value(0),
         "threads per rank; 0: cores of the node divided by its ranks")
        ("set", po::value(&r.job.set)->composing()->value_name("KEY=VALUE"),
         "parallel.pipeline or parallel.layers_of_parts of a run configuration: so many ranks hold "
         "the layers of one model")
        ("stream", word(&r.stream, "WHEN")->default_value("auto"),
         "show a single completion while it is made: auto (on a terminal) | always | never");
    // clang-format on
    return options;
}

} // namespace

int generate_command(std::vector<std::string> const& arguments) {
    GenerateRequest r;
    auto& o = r.job.options;
    std::optional<double> temperature;
    po::options_description options = generate_options(r, temperature);
    if (!parse(options, arguments, "model")) return 0;
    check_generation(r);
    if (!r.output.empty() && launcher_rank() <= 0) {
        cluster::refuse_input("--output", r.output, {r.job.model, r.file}, ".jsonl");
        r.lines.emplace("--output", r.output, existing(r.force));
    }
    o.sampling.temperature =
        temperature.value_or(o.sampling.top_k > 0 || o.sampling.top_p < 1 ? 1.0 : 0.0);
    framework::generation::check_sampling(o.sampling);
    o.stops = framework::generation::stop_tokens(r.job.model);
    std::optional<TextService> service; // before MPI_Init, and without Python in this process
    if (launcher_rank() <= 0)           // else MPI's rank 0 is another process
        service.emplace(r.job.model);
    return under_mpi([&](cluster::Communicator& world) {
        if (world.rank() != 0) service.reset();
        return (r.chat ? chat : generate)(r, service ? &*service : nullptr, world);
    });
}

} // namespace trireme::launch
