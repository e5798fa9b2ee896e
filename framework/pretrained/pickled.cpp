#include "framework/pretrained/pickled.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"

namespace trireme::framework::pretrained {

namespace {

/// The class that config.json names reads all that the folder holds; another leaves heads out. It
/// stands in a command that people run: a name, or nothing that the file says.
std::string reader_of(std::string const& folder) {
    constexpr std::int64_t kMostBytes = 16 << 20;
    std::string const path = folder + "/config.json", otherwise = "AutoModel";
    if (!cluster::is_there(path)) return otherwise;
    auto const json = data::parse_json(path, cluster::read_file(path, kMostBytes));
    if (!json.is_object() || !json.contains("architectures")) return otherwise;
    auto const& classes = json["architectures"];
    if (!classes.is_array() || classes.empty() || !classes[0].is_string()) return otherwise;
    auto const name = classes[0].get<std::string>();
    bool const plain =
        std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) != 0; });
    return plain && !name.empty() ? name : otherwise;
}

} // namespace

void refuse_pickled(std::string const& folder, std::string const& name) {
    throw cluster::InputError(fmt::format(
        "{}/{}: pickled weights, which run code when they are read; legal: model.safetensors, as "
        "transformers writes it: python -c 'from transformers import {} as M; "
        "M.from_pretrained(\"{}\").save_pretrained(\"{}\")'",
        folder, name, reader_of(folder), folder, folder));
}

} // namespace trireme::framework::pretrained
