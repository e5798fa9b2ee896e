#include "framework/config/mixture_keys.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "cluster/error.hpp"
#include "cluster/path.hpp"
#include "cluster/utf8.hpp"
#include "framework/config/plain_yaml.hpp"

namespace trireme::framework::config {

namespace {

constexpr char const* kSourceKeys = "max_epochs, name, path, split, weight";
constexpr char const* kWeight = "0 or a number from 1e-6 to 1e6";
constexpr std::size_t kMostSources = 1000;

[[noreturn]] void fail(std::string const& place, YAML::Node const& node, std::string const& legal) {
    std::string const value = node.IsScalar() ? node.Scalar()
                              : node.IsNull() ? "no value"
                              : node.IsMap()  ? "a mapping"
                                              : "a list";
    throw cluster::InputError(
        fmt::format("{}: {}: legal: {}", place, cluster::one_line(value), legal));
}

std::string text_of(YAML::Node const& node, std::string const& place) {
    std::string text;
    if (!node.IsScalar() || !decode_plain(node.Scalar(), text) || text.empty() ||
        !cluster::is_utf8(text))
        fail(place, node, "a text in UTF-8");
    return text;
}

double number_of(YAML::Node const& node, std::string const& place, std::string const& legal,
                 double least_above_0, double most) {
    double number = 0;
    if (!node.IsScalar() || !decode_plain(node.Scalar(), number) || !std::isfinite(number) ||
        (number != 0 && (number < least_above_0 || number > most)))
        fail(place, node, legal);
    return number;
}

double weight_of(YAML::Node const& node, std::string const& place) {
    return number_of(node, place, kWeight, 1e-6, 1e6);
}

void read_key(data::MixtureSource& source, std::string const& key, YAML::Node const& node,
              std::string const& place) {
    std::string const here = place + "." + key;
    if (key == "name")
        source.name = text_of(node, here);
    else if (key == "path")
        source.path = text_of(node, here);
    else if (key == "split")
        source.split = text_of(node, here);
    else if (key == "weight")
        source.weight = weight_of(node, here);
    else if (key == "max_epochs")
        source.max_epochs = number_of(node, here, "a number > 0; 0: no limit", 1e-9, 1e9);
    else
        throw cluster::InputError(
            fmt::format("{}: unknown key {}; legal: {}", place, key, kSourceKeys));
}

/// Calls f(key, value) for each entry; every key once.
void each_entry(YAML::Node const& node, std::string const& place, std::string const& legal,
                auto const& f) {
    if (!node.IsMap()) fail(place, node, legal);
    std::set<std::string> seen;
    for (auto const& entry : node) {
        if (!entry.first.IsScalar()) fail(place, entry.first, "a name as a key");
        if (!seen.insert(entry.first.Scalar()).second)
            throw cluster::InputError(
                fmt::format("{}: {} is given twice", place, entry.first.Scalar()));
        f(entry.first.Scalar(), entry.second);
    }
}

data::MixtureSource read_source(YAML::Node const& node, std::string const& place) {
    data::MixtureSource source;
    each_entry(node, place, fmt::format("a mapping with {}", kSourceKeys),
               [&](std::string const& key, YAML::Node const& value) {
                   read_key(source, key, value, place);
               });
    if (source.name.empty()) {
        auto const folder = std::filesystem::path(source.path).lexically_normal();
        source.name = source.path.empty()     ? source.split
                      : folder.has_filename() ? folder.filename().string()
                                              : folder.parent_path().filename().string();
    }
    return source;
}

void read_key(data::CurriculumStage& stage, std::string const& key, YAML::Node const& value,
              std::string const& place) {
    std::string const here = place + "." + key;
    if (key == "from_step") {
        if (!value.IsScalar() || !decode_plain(value.Scalar(), stage.from_step) ||
            stage.from_step < 1 || stage.from_step > 1'000'000'000'000)
            fail(here, value, "a whole number >= 1, the step from which they hold");
    } else if (key == "weights") {
        each_entry(value, here, "weights by the names of sources",
                   [&](std::string const& name, YAML::Node const& weight) {
                       stage.weights[name] = weight_of(weight, here + "." + name);
                   });
    } else {
        throw cluster::InputError(
            fmt::format("{}: unknown key {}; legal: from_step, weights", place, key));
    }
}

data::CurriculumStage read_stage(YAML::Node const& node, std::string const& place) {
    data::CurriculumStage stage;
    each_entry(node, place, "a mapping with from_step and weights",
               [&](std::string const& key, YAML::Node const& value) {
                   read_key(stage, key, value, place);
               });
    if (stage.from_step == 0)
        throw cluster::InputError(
            place + ".from_step: missing; legal: the step from which the weights hold");
    return stage;
}

/// The place of a key in messages about values that do not fit each other.
std::string key_at(Origins const& origins, std::string const& key) {
    auto const found = origins.find(key);
    return found == origins.end() ? key : found->second + ": " + key;
}

void check_names(data::Section const& section, std::string const& place) {
    std::set<std::string> names;
    for (auto const& source : section.train.sources)
        if (!names.insert(source.name).second)
            throw cluster::InputError(fmt::format(
                "{}: two sources have the name {}; legal: a name for each, as in name: {}-2", place,
                source.name, source.name));
}

void check_weights(data::Section const& section, Origins const& origins) {
    auto const& sources = section.train.sources;
    std::string const place = key_at(origins, "data.train");
    auto const given = [](auto const& source) { return source.weight >= 0; };
    auto const with = std::ranges::find_if(sources, given),
               without = std::ranges::find_if_not(sources, given);
    if (with == sources.end()) return;
    if (without != sources.end())
        throw cluster::InputError(
            fmt::format("{}: {} has a weight and {} has none; legal: a weight for each source, or "
                        "none at all, where sizes and data.temperature decide",
                        place, with->name, without->name));
    if (std::ranges::all_of(sources, [](auto const& source) { return source.weight == 0; }))
        throw cluster::InputError(place + ": every weight is 0; legal: at least one above 0");
    if (section.temperature != 1)
        throw cluster::InputError(fmt::format("{}: {}: legal for sources with weights: 1",
                                              key_at(origins, "data.temperature"),
                                              section.temperature));
}

void check_stage(data::CurriculumStage const& stage, data::TrainData const& train,
                 std::string const& place) {
    std::vector<std::string> names;
    for (auto const& source : train.sources) names.push_back(source.name);
    bool some = false;
    for (auto const& [name, weight] : stage.weights) {
        some |= weight > 0;
        if (std::ranges::find(names, name) == names.end())
            throw cluster::InputError(fmt::format("{}.weights: {}: legal: the names of sources: {}",
                                                  place, name, fmt::join(names, ", ")));
    }
    if (!some)
        throw cluster::InputError(place + ".weights: none above 0; legal: at least one above 0");
}

void check_curriculum(data::Section const& section, std::string const& place) {
    std::int64_t before = 0;
    for (std::size_t i = 0; i < section.curriculum.size(); ++i) {
        auto const& stage = section.curriculum[i];
        std::string const here = fmt::format("{}[{}]", place, i);
        if (stage.from_step <= before)
            throw cluster::InputError(
                fmt::format("{}.from_step: {}: legal: more than {}, that of the stage before", here,
                            stage.from_step, before));
        before = stage.from_step;
        check_stage(stage, section.train, here);
    }
}

void check_no_mixture(data::Section const& section, Origins const& origins) {
    if (section.temperature != 1)
        throw cluster::InputError(
            fmt::format("{}: {}: legal without a list of sources in data.train: 1",
                        key_at(origins, "data.temperature"), section.temperature));
    if (!section.curriculum.empty())
        throw cluster::InputError(key_at(origins, "data.curriculum") +
                                  ": a list: legal without a list of sources in data.train: []");
}

} // namespace

data::TrainData read_train_data(YAML::Node const& node, std::string const& place) {
    data::TrainData train;
    if (node.IsScalar()) {
        train.split = text_of(node, place);
        return train;
    }
    if (!node.IsSequence() || node.size() == 0 || node.size() > kMostSources)
        fail(place, node, "the name of a split, or a list of 1 to 1000 sources");
    for (std::size_t i = 0; i < node.size(); ++i)
        train.sources.push_back(read_source(node[i], fmt::format("{}[{}]", place, i)));
    return train;
}

std::vector<data::CurriculumStage> read_curriculum(YAML::Node const& node,
                                                   std::string const& place) {
    if (!node.IsSequence())
        fail(place, node, "a list, as in [{from_step: 1000, weights: {reviews: 1, general: 3}}]");
    std::vector<data::CurriculumStage> stages;
    for (std::size_t i = 0; i < node.size(); ++i)
        stages.push_back(read_stage(node[i], fmt::format("{}[{}]", place, i)));
    return stages;
}

YAML::Emitter& operator<<(YAML::Emitter& out, data::ClassWeights const& weights) {
    if (weights.none()) return out << "none";
    if (weights.balanced) return out << "balanced";
    out << YAML::Flow << YAML::BeginMap;
    for (auto const& [name, weight] : weights.by_name)
        out << YAML::Key << YAML::DoubleQuoted << name << YAML::Value << fmt::format("{}", weight);
    return out << YAML::EndMap;
}

YAML::Emitter& operator<<(YAML::Emitter& out, data::TrainData const& train) {
    if (train.sources.empty()) return out << train.split;
    out << YAML::Flow << YAML::BeginSeq;
    for (auto const& source : train.sources) {
        out << YAML::Flow << YAML::BeginMap << YAML::Key << "name" << YAML::Value
            << YAML::DoubleQuoted << source.name;
        if (!source.path.empty())
            out << YAML::Key << "path" << YAML::Value << YAML::DoubleQuoted << source.path;
        out << YAML::Key << "split" << YAML::Value << YAML::DoubleQuoted << source.split;
        if (source.weight >= 0)
            out << YAML::Key << "weight" << YAML::Value << fmt::format("{}", source.weight);
        out << YAML::Key << "max_epochs" << YAML::Value << fmt::format("{}", source.max_epochs)
            << YAML::EndMap;
    }
    return out << YAML::EndSeq;
}

YAML::Emitter& operator<<(YAML::Emitter& out, std::vector<data::CurriculumStage> const& stages) {
    out << YAML::Flow << YAML::BeginSeq;
    for (auto const& stage : stages) {
        out << YAML::Flow << YAML::BeginMap << YAML::Key << "from_step" << YAML::Value
            << stage.from_step << YAML::Key << "weights" << YAML::Value << YAML::Flow
            << YAML::BeginMap;
        for (auto const& [name, weight] : stage.weights)
            out << YAML::Key << YAML::DoubleQuoted << name << YAML::Value
                << fmt::format("{}", weight);
        out << YAML::EndMap << YAML::EndMap;
    }
    return out << YAML::EndSeq;
}

YAML::Emitter& operator<<(YAML::Emitter& out, std::vector<std::string> const& texts) {
    out << YAML::Flow << YAML::BeginSeq;
    for (auto const& text : texts) out << YAML::DoubleQuoted << text;
    return out << YAML::EndSeq;
}

void settle_mixture(data::Section& section, Origins const& origins) {
    if (section.train.sources.empty()) return check_no_mixture(section, origins);
    std::string const place = key_at(origins, "data.train");
    if (section.fraction < 1)
        throw cluster::InputError(fmt::format("{}: {}: legal with a list of sources: 1; weights "
                                              "and max_epochs say how much of each is "
                                              "read",
                                              key_at(origins, "data.fraction"), section.fraction));
    for (std::size_t i = 0; i < section.train.sources.size(); ++i) {
        auto& source = section.train.sources[i];
        if (source.path.empty()) continue;
        source.path = cluster::expand_path(fmt::format("{}[{}].path", place, i), source.path);
    }
    check_names(section, place);
    check_weights(section, origins);
    check_curriculum(section, key_at(origins, "data.curriculum"));
}

} // namespace trireme::framework::config
