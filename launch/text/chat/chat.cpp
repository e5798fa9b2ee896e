#include "launch/text/chat/chat.hpp"

#include <fmt/format.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include "cluster/error.hpp"
#include "data/json.hpp"
#include "launch/text/chat/sources.hpp"

namespace trireme::launch::text {

namespace py = pybind11;

struct Chat::State {
    py::dict scope{py::arg("__builtins__") = py::module_::import("builtins"),
                   py::arg("__name__") = "chat"};
    py::object chat;
};

namespace {

/// Calls into Python; its Refused becomes an error of ours, any other exception stays.
template <typename Call>
auto guarded(py::dict const& scope, Call const& call) {
    try {
        return call();
    } catch (py::error_already_set const& error) {
        if (scope.contains("Refused") && error.matches(scope["Refused"]))
            throw cluster::InputError(cluster::one_line(std::string(py::str(error.value()))));
        throw;
    }
}

/// Bytes that are no UTF-8 do not occur: rows are refused that hold any.
std::string json_text(auto const& json) {
    return json.dump();
}

} // namespace

Chat::Chat(std::string const& folder, std::string const& asked,
           std::vector<std::string> const& specials)
    : state_(std::make_unique<State>()) {
    auto& scope = state_->scope;
    for (auto const* source : {kTemplateSource, kFormsSource, kSpansSource})
        py::exec(source, scope, scope);
    state_->chat = guarded(scope, [&] { return scope["Chat"](folder, asked, specials); });
}
Chat::~Chat() = default;

std::string Chat::asked_template() const {
    return state_->chat.attr("asked_template")().cast<std::string>();
}

std::string Chat::choose_form(std::string const& form, nlohmann::ordered_json const& row) {
    return guarded(state_->scope, [&] {
        return state_->chat.attr("choose_form")(form, json_text(row)).cast<std::string>();
    });
}

RenderedConversation Chat::render(nlohmann::ordered_json const& row) const {
    auto const text = guarded(state_->scope, [&] {
        return state_->chat.attr("samples")(json_text(row)).cast<std::string>();
    });
    auto const made = data::parse_json<nlohmann::json>("conversation", text);
    RenderedConversation conversation{made.at("rule"), made.at("written"), {}};
    for (auto const& sample : made.at("samples")) {
        auto& one = conversation.samples.emplace_back(RenderedSample{sample.at(0), {}});
        for (auto const& span : sample.at(1))
            one.trained.push_back({span.at(0), span.at(1), span.at(2), span.at(3)});
    }
    return conversation;
}

std::string Chat::prompt(nlohmann::json const& conversation) const {
    return guarded(state_->scope, [&] {
        return state_->chat.attr("render")(json_text(conversation)).cast<std::string>();
    });
}

} // namespace trireme::launch::text
