#include "launch/text/tokenizer.hpp"

#include <fmt/format.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::launch::text {

namespace py = pybind11;

struct Tokenizer::State {
    std::string folder;
    py::object tokenizer;
};

Tokenizer::Tokenizer(std::string const& folder, std::int64_t max_length)
    : state_(std::make_unique<State>(State{folder, {}})) {
    std::string const file = folder + "/tokenizer.json";
    std::error_code none;
    if (!std::filesystem::exists(file, none))
        throw cluster::InputError(file + ": missing; legal: a folder with the tokenizer.json of a fast tokenizer");
    cluster::readable_size(file);
    try {
        state_->tokenizer = py::module_::import("tokenizers").attr("Tokenizer").attr("from_file")(file);
        state_->tokenizer.attr("no_padding")();
        state_->tokenizer.attr("no_truncation")();
        if (max_length > 0) state_->tokenizer.attr("enable_truncation")(max_length);
    } catch (py::error_already_set const& error) {
        throw cluster::InputError(fmt::format("{}: not a tokenizer: {}; legal: the tokenizer.json of a fast tokenizer",
                                              file, std::string(py::str(error.value()))));
    }
}
Tokenizer::~Tokenizer() = default;

std::vector<Encoding> Tokenizer::encode(std::vector<std::string> const& texts,
                                        std::vector<std::string> const& pairs) const {
    py::list input;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (pairs.empty())
            input.append(texts[i]);
        else
            input.append(py::make_tuple(texts[i], pairs[i]));
    }
    std::vector<Encoding> out;
    for (py::handle const e : state_->tokenizer.attr("encode_batch")(input))
        out.push_back({e.attr("ids").cast<std::vector<std::int32_t>>(),
                       e.attr("type_ids").cast<std::vector<std::int32_t>>(), py::len(e.attr("overflowing")) > 0});
    return out;
}

std::int64_t Tokenizer::vocabulary() const {
    // Ids may have gaps: what matters is the table that holds them all.
    std::int64_t size = 0;
    for (auto const [token, id] : py::dict(state_->tokenizer.attr("get_vocab")(true)))
        size = std::max(size, id.cast<std::int64_t>() + 1);
    return size;
}

std::string Tokenizer::token(std::int32_t id) const {
    py::object const token = state_->tokenizer.attr("id_to_token")(id);
    return token.is_none() ? fmt::format("<{}>", id) : token.cast<std::string>();
}

std::int32_t Tokenizer::end_of_text() const {
    std::string const file = state_->folder + "/tokenizer_config.json";
    if (!std::filesystem::exists(file)) return -1;
    auto const json = nlohmann::json::parse(cluster::read_file(file), nullptr, false);
    if (!json.is_object() || !json.contains("eos_token")) return -1;
    auto const& token = json["eos_token"];
    std::string const text = token.is_string()   ? token.get<std::string>()
                             : token.is_object() ? token.value("content", "")
                                                 : "";
    py::object const id = state_->tokenizer.attr("token_to_id")(text);
    return id.is_none() ? -1 : id.cast<std::int32_t>();
}

std::string lower(std::string const& text) {
    return py::str(text).attr("lower")().cast<std::string>();
}

} // namespace trireme::launch::text
