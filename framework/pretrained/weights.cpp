#include "framework/pretrained/weights.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/pretrained/copy_in.hpp"
#include "framework/pretrained/families.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/hf_tensors.hpp"
#include "framework/pretrained/pieces.hpp"
#include "framework/pretrained/task_heads.hpp"

namespace trireme::framework::pretrained {

using Entries = std::map<std::string, TensorEntry>;

namespace {

bool same_bits(std::string const& name_a, TensorEntry const& a, std::string const& name_b,
               TensorEntry const& b) {
    if (a.dtype != b.dtype || a.shape != b.shape || a.shape.empty()) return false;
    std::int64_t const rows = pieces.rows;
    for (std::int64_t row = 0; row < a.shape[0]; row += rows) {
        storage::Rectangle part{storage::Shape(a.shape.size()), a.shape};
        part.start[0] = row;
        part.count[0] = std::min(rows, a.shape[0] - row);
        at::Tensor const left = read_tensor(name_a, a, part), right = read_tensor(name_b, b, part);
        if (std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) != 0)
            return false;
    }
    return true;
}

/// A folder whose configuration ties the head to the embeddings may hold a copy of them under the
/// head's own name.
void refuse_untied_head(std::string const& folder, Entries::value_type const& head,
                        Entries::value_type const& tokens) {
    if (same_bits(head.first, head.second, tokens.first, tokens.second)) return;
    throw cluster::InputError(
        fmt::format("{}: {} differs from {}, and {}/config.json says tie_word_embeddings: true, so "
                    "that it would not be used; legal: \"tie_word_embeddings\": false, "
                    "where this head was trained, or a file without "
                    "it",
                    head.second.file, head.first, tokens.first, folder));
}

/// The parameter that a tied head has in place of this tensor, of which a folder may hold a copy;
/// "" if there is none.
std::string original_of(model::Config const& model, std::string const& name) {
    if (!model::traits_of(model.head).of_vocabulary() || !model.tied_embeddings) return "";
    auto const is_one_of = [&](std::initializer_list<char const*> names) {
        return std::ranges::any_of(names, [&](char const* other) { return name == other; });
    };
    if (is_one_of({"lm_head.weight", "embed_out.weight", "cls.predictions.decoder.weight",
                   "lm_head.decoder.weight", "vocab_projector.weight", "decoder.weight"}))
        return model::embedding_names(model).tokens;
    bool const bias = is_one_of({"cls.predictions.decoder.bias", "lm_head.decoder.bias"});
    return bias ? model::head_names(model).vocabulary_bias : "";
}

/// Every tensor of the folder is used, known to be redundant, or told. Returns those of other
/// heads.
std::vector<std::string> account_for(std::string const& folder, Entries const& entries,
                                     std::set<std::string> const& used,
                                     model::Config const& model) {
    std::vector<std::string> unused;
    for (auto const& found : entries) {
        auto const& [name, entry] = found;
        if (used.contains(name)) continue;
        if (is_buffer(model, name)) {
            check_buffer(model, name, entry);
            continue;
        }
        if (std::string const original = original_of(model, name); !original.empty()) {
            if (auto const tied = find_tensor(entries, model, original); tied != entries.end())
                refuse_untied_head(folder, found, *tied);
            continue;
        }
        if (!is_other_head(model, name) && !is_task_head(model, name))
            throw cluster::InputError(fmt::format("{}: tensor {} has no place in this {} model of "
                                                  "{}; legal: the tensors that {}/config.json "
                                                  "describes",
                                                  entry.file, name,
                                                  entry_of(model.family).model_type,
                                                  cluster::counted(model.layers, "layer"), folder));
        unused.push_back(name);
    }
    return unused;
}

struct Source {
    HfTensor tensor;
    Entries::value_type const* entry; ///< null: a head that is made anew
    /// of the file, where a head's classes are in another order there
    std::vector<std::int64_t> rows;
};
struct Match {
    std::vector<Source> sources;
    std::vector<std::string> unused;
};

/// The shape in the folder, which has no rows for tokens that the data added.
storage::Shape shape_in_folder(model::Config const& model, HfTensor const& tensor) {
    if (tensor.scalar) return {};
    auto shape = tensor.shape;
    auto const head = model::head_names(model);
    for (auto const& table :
         {model::embedding_names(model).tokens, head.language_model, head.vocabulary_bias})
        if (tensor.name == table) shape[0] = vocabulary_in_folder(model);
    return shape;
}

/// Finds where each tensor of a model comes from.
Match match(std::string const& folder, Entries const& entries, model::Config const& model) {
    // A classifier of other labels is the wrong one even when its shape fits.
    model::LinearNames const classifier = model::head_names(model).classifier;
    auto const order =
        model::traits_of(model.head).of_vocabulary() ? std::nullopt : rows_of_classes(model);
    bool const in_order = order && std::ranges::is_sorted(*order);
    Match result;
    std::set<std::string> used;
    for (auto const& tensor : hf_tensors(model)) {
        bool const of_classes = tensor.name == classifier.weight || tensor.name == classifier.bias;
        auto const found = find_tensor(entries, model, tensor.name);
        bool const there = found != entries.end() && (!of_classes || order);
        if (!there && !is_task_head(model, tensor.name))
            throw cluster::InputError(fmt::format(
                "{}: tensor {} is missing; legal: every tensor that {}/config.json describes",
                folder, tensor.name, folder));
        auto& source = result.sources.emplace_back(Source{tensor, there ? &*found : nullptr, {}});
        if (!there) continue;
        if (of_classes && !in_order) source.rows = *order;
        auto const& [name, entry] = *found;
        if (auto const shape = shape_in_folder(model, tensor); entry.shape != shape)
            throw cluster::InputError(
                fmt::format("{}: {}: shape [{}]: legal: [{}], as config.json says", entry.file,
                            name, fmt::join(entry.shape, ", "), fmt::join(shape, ", ")));
        weight_dtype(name, entry);
        used.insert(name);
    }
    result.unused = account_for(folder, entries, used, model);
    return result;
}

} // namespace

Entries::const_iterator find_tensor(Entries const& entries, model::Config const& model,
                                    std::string const& name) {
    std::vector<std::string> spellings{name};
    auto const prefixes = model::body_prefixes(model);
    if (name.starts_with(prefixes[0]))
        for (auto const& prefix : prefixes)
            spellings.push_back(prefix + name.substr(prefixes[0].size()));
    for (std::size_t i = 0, n = spellings.size(); i < n; ++i) {
        std::string const s = spellings[i];
        if (s.ends_with("LayerNorm.weight"))
            spellings.push_back(s.substr(0, s.size() - 6) + "gamma");
        if (s.ends_with("LayerNorm.bias")) spellings.push_back(s.substr(0, s.size() - 4) + "beta");
    }
    for (auto const& spelling : spellings)
        if (auto const found = entries.find(spelling); found != entries.end()) return found;
    return entries.end();
}

void check_weights(ModelSection const& section, model::Config const& model) {
    if (!section.from_scratch) match(section.path, find_tensors(section.path), model);
}

void check_complete(ModelSection const& section, model::Config const& model) {
    Entries const entries = find_tensors(section.path);
    auto const [sources, unused] = match(section.path, entries, model);
    auto const head = model::traits_of(model.head);
    if (head.of_vocabulary() && model.causal && !unused.empty())
        throw cluster::InputError(
            fmt::format("{}: {}: the head of a classifier; legal: a model that was trained as a "
                        "language model",
                        section.path, fmt::join(unused, ", ")));
    std::string const problem = problem_of(model), found = transformers_class_of(model),
                      legal = architecture_of(model);
    if (head.rows == data::Per::token && !head.of_vocabulary() && !found.empty() && found != legal)
        throw cluster::InputError(fmt::format("{}/config.json: architectures: {}: legal: {}",
                                              section.path, found, legal));
    if (head.rows == data::Per::sample && problem != head.problem_type)
        throw cluster::InputError(fmt::format("{}/config.json: problem_type: {}: legal: {}",
                                              section.path, problem, head.problem_type));
}

LoadedWeights load_weights(ModelSection const& section, std::uint64_t seed,
                           model::Config const& model, parallel::ParameterStore& store) {
    LoadedWeights loaded{.seed = static_cast<std::int64_t>(seed),
                         .from_scratch = section.from_scratch};
    if (section.from_scratch) {
        for (auto const& p : store.parameters()) store.initialize(*p, seed);
        return loaded;
    }
    Entries const entries = find_tensors(section.path);
    auto const [sources, unused] = match(section.path, entries, model);
    loaded.unused = unused;
    for (auto const& [tensor, entry, rows] : sources) {
        loaded.labels_reordered |= !rows.empty();
        if (entry) {
            copy_in(tensor, entry->first, entry->second, rows, seed, store);
            if (!tensor.scalar && tensor.shape != entry->second.shape)
                loaded.grown.push_back(tensor.name);
            continue;
        }
        for (auto const& part : tensor.parts)
            if (part.from == 0 && store.contains(part.parameter))
                store.initialize(store.at(part.parameter), seed);
        loaded.fresh.push_back(tensor.name);
    }
    return loaded;
}

std::vector<std::string> LoadedWeights::notes() const {
    if (from_scratch) return {fmt::format("all weights start from seed {}", seed)};
    std::vector<std::string> notes;
    if (!fresh.empty())
        notes.push_back(fmt::format("new, from seed {}: {}", seed, fmt::join(fresh, ", ")));
    if (!unused.empty())
        notes.push_back(
            fmt::format("not used, heads of other tasks or classes: {}", fmt::join(unused, ", ")));
    if (!grown.empty())
        notes.push_back(fmt::format("rows for added tokens, at the mean of the others, from seed "
                                    "{}: {}",
                                    seed, fmt::join(grown, ", ")));
    if (labels_reordered)
        notes.push_back("the rows of the trained head are matched to the data's classes by name");
    return notes;
}

} // namespace trireme::framework::pretrained
