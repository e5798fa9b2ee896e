#include "framework/config/plain_yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>
#include <string_view>

#include "cluster/error.hpp"

namespace trireme::framework::config {

namespace {

/// Walks the events of a YAML text before anything is built of them: an alias can stand for more
/// than memory holds.
class Guard : public YAML::EventHandler {
  public:
    explicit Guard(std::string const& file) : file_(file) {}
    void OnDocumentStart(YAML::Mark const& mark) override {
        if (++documents_ > 1)
            throw cluster::InputError(fmt::format(
                "{}:{}: a second document (after ---); legal: one", file_, mark.line + 1));
    }
    void OnDocumentEnd() override {}
    void OnNull(YAML::Mark const& mark, YAML::anchor_t anchor) override {
        refuse_anchor(mark, anchor);
    }
    void OnAlias(YAML::Mark const& mark, YAML::anchor_t) override { refuse_anchor(mark, 1); }
    void OnScalar(YAML::Mark const& mark, std::string const& tag, YAML::anchor_t anchor,
                  std::string const&) override {
        refuse_tag(mark, tag);
        refuse_anchor(mark, anchor);
    }
    void OnSequenceStart(YAML::Mark const& mark, std::string const& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        refuse_tag(mark, tag);
        open(mark, anchor);
    }
    void OnSequenceEnd() override { --depth_; }
    void OnMapStart(YAML::Mark const& mark, std::string const& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        refuse_tag(mark, tag);
        open(mark, anchor);
    }
    void OnMapEnd() override { --depth_; }

  private:
    /// "?" and "!" are what the parser itself notes of plain and of quoted values.
    void refuse_tag(YAML::Mark const& mark, std::string const& tag) const {
        if (!tag.empty() && tag != "?" && tag != "!")
            throw cluster::InputError(
                fmt::format("{}:{}: a tag ({}); legal: plain values", file_, mark.line + 1, tag));
    }
    void refuse_anchor(YAML::Mark const& mark, YAML::anchor_t anchor) const {
        if (anchor != 0)
            throw cluster::InputError(
                fmt::format("{}:{}: an anchor or alias (&name, *name); legal: plain values", file_,
                            mark.line + 1));
    }
    void open(YAML::Mark const& mark, YAML::anchor_t anchor) {
        refuse_anchor(mark, anchor);
        if (++depth_ > kDeepest)
            throw cluster::InputError(
                fmt::format("{}:{}: nested deeper than the {} levels that are legal", file_,
                            mark.line + 1, kDeepest));
    }
    static constexpr int kDeepest = 8;
    std::string const& file_;
    int depth_ = 0, documents_ = 0;
};

template <typename Number>
bool decode_decimal(std::string_view text, Number& value) {
    if (text.starts_with('+')) text.remove_prefix(1);
    std::string_view const digits = text.substr(text.starts_with('-') ? 1 : 0);
    bool const octal =
        digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9';
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return !octal && error == std::errc{} && end == text.data() + text.size() &&
           !digits.starts_with('+');
}

} // namespace

bool decode_plain(std::string const& text, std::string& value) {
    value = text;
    return true;
}
bool decode_plain(std::string const& text, bool& value) {
    std::string lower = text;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    bool const yes = lower == "true" || lower == "yes" || lower == "on";
    value = yes;
    return yes || lower == "false" || lower == "no" || lower == "off";
}
bool decode_plain(std::string const& text, int& value) {
    return decode_decimal(text, value);
}
bool decode_plain(std::string const& text, std::int64_t& value) {
    return decode_decimal(text, value);
}
bool decode_plain(std::string const& text, std::uint64_t& value) {
    return decode_decimal(text, value);
}
bool decode_plain(std::string const& text, double& value) {
    return decode_decimal(text, value);
}

YAML::Node load_plain_yaml(std::string const& text, std::string const& name) {
    try {
        std::istringstream stream(text);
        YAML::Parser parser(stream);
        Guard guard(name);
        while (parser.HandleNextDocument(guard)) {
        }
        return YAML::Load(text);
    } catch (YAML::Exception const& error) {
        throw cluster::InputError(
            fmt::format("{}:{}: not YAML: {}", name, error.mark.line + 1, error.msg));
    }
}

} // namespace trireme::framework::config
