// `trireme attribute`: which words a prediction rests on, and what each token costs a language
// model.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/output_file.hpp"
#include "cluster/process.hpp"
#include "data/json.hpp"
#include "data/tokenizer_difference.hpp"
#include "framework/jobs/attribute.hpp"
#include "launch/attribution_document.hpp"
#include "launch/attribution_request.hpp"
#include "launch/attribution_target.hpp"
#include "launch/commands.hpp"
#include "launch/influence_lines.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"
#include "launch/text_blocks.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace {

using Json = nlohmann::ordered_json;
using framework::jobs::AttributedModel;
using framework::jobs::AttributedText;

/// The texts of a block that have tokens, as all ranks need them: {"tokens", "segments", "places"}.
Json texts_of(nlohmann::json const& block, TextBlocks& texts, std::vector<Json>& lines) {
    auto const pick = [&](char const* list) {
        auto some = nlohmann::json::array();
        for (std::size_t i = 0; i < block.at(list).size(); ++i)
            if (!block["windows"][i].empty()) some.push_back(block[list][i]);
        return some;
    };
    auto const pairs = pick("pairs"), sources = pick("sources"), windows = pick("windows"),
               cut = pick("cut"), whole = pick("texts");
    auto const pieces = texts.service()
                            .ask({{"pieces", whole}, {"pairs", pairs}, {"longest", texts.length()}})
                            .at("pieces");
    auto shared = Json::array();
    for (std::size_t i = 0; i < whole.size(); ++i) {
        auto const& piece = pieces[i];
        if (piece.at("tokens") != windows[i].at(0).at("tokens"))
            throw cluster::InputError(fmt::format(
                "{}: its tokens cannot be told apart in the text; legal: a text of at most {} "
                "tokens without special ones at its ends",
                sources[i].get<std::string>(), texts.length()));
        Json& line = lines.emplace_back(Json{{"source", sources[i]}, {"text", whole[i]}});
        if (!pairs.empty()) line["pair"] = pairs[i];
        if (cut[i].get<bool>()) line["cut"] = true;
        line.update({{"tokens", piece["tokens"]},
                     {"pieces", piece["texts"]},
                     {"words", piece["words"]},
                     {"word_of_token", piece["places"]}});
        shared.push_back({{"tokens", piece["tokens"]},
                          {"segments", windows[i][0].at("segments")},
                          {"places", piece["places"]},
                          {"words", piece["words"].size()}});
    }
    return shared;
}

/// The models, in the order in which results have them.
struct Models {
    AttributedModel tuned;
    std::optional<AttributedModel> base;
    AttributionTarget target = {};
};

void check_base(std::string const& model, std::string const& base) {
    if (auto const what = data::tokenizer_difference(model, base); !what.empty())
        throw cluster::InputError(fmt::format(
            "--base: {}: another tokenizer than that of {} (they differ in {}); legal: the model "
            "that it was made of",
            base, model, what));
}

void check_base(AttributedModel const& tuned, AttributedModel const& base) {
    if (base.task().kind == tuned.task().kind && base.labels() == tuned.labels()) return;
    throw cluster::InputError(
        fmt::format("--base: {}: a model of {} with the labels {}; legal: one of {} with the "
                    "labels {}",
                    base.folder(), base.task().name, fmt::join(base.labels(), ", "),
                    tuned.task().name, fmt::join(tuned.labels(), ", ")));
}

/// What is known of the texts so far: lines on rank 0, texts and the places of their targets on
/// every rank.
struct Found {
    std::vector<Json> lines = {};
    std::size_t blank = 0; ///< texts without a word
    std::vector<AttributedText> texts = {};
    std::vector<std::int32_t> targets = {};
};

/// Adds to the losses of a text what the explained token rests on; a token with none before it has
/// nothing to rest on.
Json explain_tokens(AttributedModel const& model, AttributionTarget const& target,
                    AttributedText const& text, nlohmann::json const& shared, std::int64_t number) {
    Json found = to_json(model.losses(text));
    auto const place = target.of_token ? place_of(target, text) : 0;
    if (place > 0)
        found["attribution"] = to_json(model.attribute_token(text, place, number), place,
                                       shared.at("places"), shared.at("words"));
    return found;
}

/// What the models make of a text.
Json explain(Models const& models, AttributedText const& text, nlohmann::json const& shared,
             std::int64_t number) {
    Json of_text{{"number", number}, {"target", -1}, {"models", Json::array()}};
    std::int64_t target = models.target.label;
    for (auto const* model : {&models.tuned, models.base ? &*models.base : nullptr}) {
        if (model && model->is_language_model())
            of_text["models"].push_back(
                explain_tokens(*model, models.target, text, shared, number));
        if (!model || model->is_language_model()) continue;
        auto const one = model->attribute(text, target, number);
        of_text["target"] = target = one.target;
        of_text["models"].push_back(to_json(one, *model, shared.at("places"), shared.at("words")));
    }
    return of_text;
}

AttributedText text_of(nlohmann::json const& shared) {
    AttributedText text;
    shared.at("tokens").get_to(text.sample.tokens);
    shared.at("segments").get_to(text.sample.segments);
    for (auto const& place : shared.at("places"))
        text.fixed.push_back(place.get<std::int64_t>() < 0);
    return text;
}

/// Adds the texts of a block, which the ranks divide. Collective.
void explain(Models const& models, nlohmann::json const& shared, Found& found,
             cluster::Communicator& world) {
    auto mine = Json::array();
    for (auto const& one : shared) {
        auto text = text_of(one);
        models.tuned.check(text);
        if (models.base) models.base->check(text);
        if (models.target.of_token) place_of(models.target, text); // on every rank
        auto const number = std::ssize(found.texts);
        if (number % world.size() == world.rank())
            mine.push_back(explain(models, text, one, number));
        found.texts.push_back(std::move(text));
    }
    found.targets.resize(found.texts.size());
    for (auto const& part : cluster::all_gather_bytes(world, mine.dump(), "attribute/results"))
        for (auto& one : data::parse_json<Json>("results", part)) {
            auto const number = one.at("number").get<std::size_t>();
            found.targets.at(number) = one.at("target").get<std::int32_t>();
            if (world.rank() == 0) found.lines.at(number)["models"] = one.at("models");
        }
}

/// Names the likeliest tokens that language models expected.
void spell_likeliest(std::vector<Json>& lines, TextBlocks& texts) {
    for (auto& line : lines)
        for (auto& model : line["models"]) {
            if (!model.contains("likeliest")) continue;
            auto ids = nlohmann::json::array();
            for (auto const& id : model["likeliest"])
                ids.push_back(id.is_null() ? nlohmann::json::array() : nlohmann::json::array({id}));
            if (model.contains("attribution"))
                model["attribution"]["target"] =
                    line["pieces"][model["attribution"]["place"].get<std::size_t>()];
            model["likeliest_texts"] = texts.service().ask({{"decode", ids}}).at("texts");
        }
}

Json head_of(AttributionRequest const& r, Models const& models, std::string const& baseline) {
    Json head{{"format", kAttributions}, {"version", kAttributionsVersion}};
    auto& names = head["models"] = Json::array({r.model});
    if (models.base) names.push_back(r.base);
    head["task"] = models.tuned.task().name;
    if (!r.influence.empty()) head["influence"] = {{"data", r.influence}, {"split", r.split}};
    bool const of_labels = !models.tuned.is_language_model();
    if (of_labels) head["labels"] = models.tuned.labels();
    if (!of_labels && !models.target.of_token) return head;
    head["method"] = r.method;
    head["baseline"] = baseline;
    if (r.method == kIntegrated) {
        head["steps"] = r.job.steps == 0 ? Json("doubled") : Json(r.job.steps);
        head["tolerance"] = r.job.tolerance;
    }
    return head;
}

bool misses(Json const& of_model, double tolerance) {
    auto const explained = of_model.value("attribution", of_model);
    return explained.contains("integrated_gradients") &&
           !(explained["integrated_gradients"]["error"] <= tolerance);
}

/// What is said of it all: texts, and sums that miss the difference.
std::string summary_of(Found const& found, AttributionRequest const& r) {
    std::size_t missed = 0, cut = 0;
    for (auto const& line : found.lines) {
        cut += line.contains("cut");
        for (auto const& of_model : line.at("models")) missed += misses(of_model, r.job.tolerance);
    }
    return fmt::format(
        "{}{}{}{}\n",
        cluster::counted(std::ssize(found.lines) + static_cast<std::int64_t>(found.blank), "text"),
        found.blank ? fmt::format("; {} without a word", found.blank) : "",
        cut ? fmt::format("; {} cut", cut) : "",
        missed ? fmt::format("; {} whose sum misses the difference of outputs by more than {}; "
                             "--steps takes more of them",
                             cluster::counted(static_cast<std::int64_t>(missed), "attribution"),
                             r.job.tolerance)
               : "");
}

/// Reads and explains all texts. Collective.
Found explain_all(Models const& models, std::optional<TextBlocks>& texts,
                  cluster::Communicator& world) {
    Found found;
    for (;;) {
        nlohmann::json const block = texts ? texts->next() : nlohmann::json();
        std::string own;
        if (texts) {
            bool const more = !block.at("windows").empty();
            auto const before = found.lines.size();
            own = (more ? texts_of(block, *texts, found.lines) : Json()).dump();
            found.blank += block["windows"].size() - (found.lines.size() - before);
        }
        auto const shared =
            data::parse_json("texts", cluster::broadcast_bytes(world, own, 0, "attribute/texts"));
        if (shared.is_null()) return found;
        explain(models, shared, found, world);
    }
}

/// Adds the target and the base, once the model is there. Collective.
void complete(Models& models, AttributionRequest const& r, cluster::Communicator& world) {
    models.target = target_of(r.target, models.tuned);
    if (!r.influence.empty()) check_influence(r, models.tuned);
    if (r.base.empty()) return;
    models.base.emplace(r.base, r.job, world);
    check_base(models.tuned, *models.base);
}

int attribute(AttributionRequest& r, TextService* service, cluster::Communicator& world) {
    std::optional<TextBlocks> texts;
    if (world.rank() == 0) texts.emplace(r.source, service_of_rank_0(service));
    r.language_model = framework::jobs::is_language_model(r.model);
    std::string const baseline = choose_baseline(r);
    if (!r.base.empty()) check_base(r.model, r.base);
    Models models{{r.model, r.job, world}, std::nullopt};
    complete(models, r, world);
    Found found = explain_all(models, texts, world);
    if (!r.influence.empty())
        add_influence(r, found.texts, found.targets, found.lines, service, world);
    if (world.rank() != 0) return cluster::kDone;
    spell_likeliest(found.lines, *texts);
    Json document = head_of(r, models, baseline);
    document["texts"] = found.lines;
    r.file->write(document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    cluster::say_text(summary_of(found, r));
    return cluster::kDone;
}

} // namespace

int attribute_command(std::vector<std::string> const& arguments) {
    AttributionRequest r;
    auto options = options_of(r);
    if (!parse(options, arguments, "model")) return 0;
    check(r);
    r.job.integrated = r.method == kIntegrated;
    r.source.task = [] { return std::string("classification"); };
    if (launcher_rank() <= 0) {
        cluster::refuse_input("--output", r.output, {r.model, r.base, r.influence, r.source.input},
                              ".json");
        r.file.emplace("--output", r.output, existing(r.force));
    }
    std::optional<TextService> service; // before MPI_Init, and without Python in this process
    if (launcher_rank() <= 0) service.emplace(r.model);
    return under_mpi([&](cluster::Communicator& world) {
        if (world.rank() != 0) service.reset();
        return attribute(r, service ? &*service : nullptr, world);
    });
}

} // namespace trireme::launch
