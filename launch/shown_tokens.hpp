// Tokens of a model that a person reads while they are made.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/process.hpp"
#include "launch/streamed_text.hpp"
#include "launch/text_service.hpp"

namespace trireme::launch {

/// One text on standard output, decoded by `service`, which must outlive it.
class ShownTokens {
  public:
    /// `stream`: the text is shown from its first token on; else all of it at its end.
    ShownTokens(TextService* service, bool stream) : service_(service), stream_(stream) {}
    void add(std::int32_t token) {
        tokens_.push_back(token);
        if (stream_) cluster::print_text(text_.next(decoded(tokens_)));
    }
    /// Shows what is left of `tokens`, which are all, and ends the line. Returns their text.
    std::string end(std::vector<std::int32_t> const& tokens) {
        std::string text = decoded(tokens);
        cluster::print_text(text_.last(text) + "\n");
        return text;
    }

  private:
    std::string decoded(std::vector<std::int32_t> const& tokens) {
        return service_->ask({{"decode", nlohmann::json::array({tokens})}})["texts"][0];
    }
    TextService* service_;
    bool stream_;
    StreamedText text_;
    std::vector<std::int32_t> tokens_;
};

} // namespace trireme::launch
