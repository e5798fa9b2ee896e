#include "data/chat_templates.hpp"

#include <fmt/format.h>

#include <map>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"

namespace trireme::data {

namespace {

using Json = nlohmann::json;

constexpr char const* kDefault = "default"; ///< transformers' name of a template without one

class Templates {
  public:
    /// Compares `text` with what an earlier place had under that name.
    void take(std::string const& name, std::string text, std::string const& place) {
        if (text.ends_with('\n')) text.pop_back();
        auto const [found, added] = seen_.emplace(name, Template{text, place});
        if (added || found->second.text == text) return;
        throw cluster::InputError(fmt::format(
            "{}: the template for chats{} is not that of {}, and transformers reads one of them; "
            "legal: the same in both, or one of them alone",
            place, name == kDefault ? "" : " \"" + name + "\"", found->second.place));
    }

    /// A template, or a list of them with their names.
    void take_member(std::string const& file) {
        if (!cluster::is_there(file)) return;
        Json const json = parse_json(file, cluster::read_file(file));
        if (!json.is_object() || !json.contains("chat_template")) return;
        Json const& all = json.at("chat_template");
        std::string const place = file + ": chat_template";
        if (all.is_string()) take(kDefault, all.get<std::string>(), place);
        if (!all.is_array()) return;
        for (auto const& one : all)
            if (one.is_object() && one.value("name", Json()).is_string() &&
                one.value("template", Json()).is_string())
                take(one.at("name").get<std::string>(), one.at("template").get<std::string>(),
                     place);
    }

    void take_file(std::string const& name, std::string const& file) {
        if (cluster::is_there(file)) take(name, cluster::read_file(file), file);
    }

  private:
    struct Template {
        std::string text, place;
    };
    std::map<std::string, Template> seen_;
};

} // namespace

void check_chat_templates(std::vector<std::string> const& folders) {
    constexpr std::string_view kEnding = ".jinja";
    Templates templates;
    for (auto const& folder : folders) {
        templates.take_member(folder + "/tokenizer_config.json");
        templates.take_member(folder + "/chat_template.json");
        templates.take_file(kDefault, folder + "/chat_template.jinja");
        std::string const more = folder + "/additional_chat_templates";
        for (auto const& name : cluster::list_folder(more))
            if (name.ends_with(kEnding))
                templates.take_file(name.substr(0, name.size() - kEnding.size()),
                                    more + "/" + name);
    }
}

} // namespace trireme::data
