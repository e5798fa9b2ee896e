#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cluster/counted.hpp"
#include "launch/starting_point.hpp"

namespace trireme::launch {

namespace {

constexpr std::size_t kWidth = 96; ///< of comments

/// Divides a comment between words.
std::string commented(std::string const& text, std::string const& indent) {
    std::string lines, line;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = text.find(' ', at);
        if (end == std::string::npos) end = text.size();
        std::string const word = text.substr(at, end - at);
        if (!line.empty() && indent.size() + line.size() + word.size() + 3 > kWidth) {
            lines += indent + "#" + line + "\n";
            line.clear();
        }
        line += " " + word;
        at = end + 1;
    }
    return lines + indent + "#" + line + "\n";
}

std::string about_model(Beginning const& b) {
    if (!b.known_model) return "Model: not given; the values suit one of 110 M parameters.";
    return fmt::format("Model: {} {}, {:.3g} M parameters.", b.known_model->family,
                       b.known_model->causal ? "decoder" : "encoder",
                       static_cast<double>(b.known_model->parameters) * 1e-6);
}

std::string about_data(Beginning const& b) {
    if (!b.known_data) return "Data: not given; epochs and batch suit some thousand samples.";
    auto const& data = *b.known_data;
    return fmt::format("Data: {} of {:.1f} tokens on average, the longest of {}.",
                       cluster::counted(data.samples, "sample"),
                       static_cast<double>(data.tokens) / static_cast<double>(data.samples),
                       data.longest);
}

/// Quotes a folder as YAML, of which JSON is a part.
std::string quoted(std::string const& text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace

std::string to_yaml(Beginning const& b, std::vector<Setting> const& settings) {
    std::string const task = data::schema_of(b.task).name, &called = b.called;
    std::string text =
        commented(fmt::format("A starting point for {}, made by `trireme init`: the comment above "
                              "a value says where it comes from. {} {} `trireme explain-config "
                              "--keys` lists every other key with its default.",
                              called.empty() ? task : called, about_model(b), about_data(b)),
                  "");
    text += fmt::format("run: {}\nseed: 1\n{}task: {}\nmodel:\n  path: {}\ndata:\n  path: {}\n",
                        quoted(b.run),
                        called.empty() || called == task
                            ? ""
                            : fmt::format("# samples of {} are those of {}\n", called, task),
                        task, quoted(b.model), quoted(b.data));
    std::string section = "data";
    for (auto const& [key, value, source] : settings) {
        auto const dot = key.find('.');
        if (key.substr(0, dot) != section) text += (section = key.substr(0, dot)) + ":\n";
        text += commented(source, "  ") + fmt::format("  {}: {}\n", key.substr(dot + 1), value);
    }
    return text;
}

} // namespace trireme::launch
