#include "framework/plain_yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

#include <sstream>

#include "cluster/error.hpp"

namespace trireme::framework {

namespace {

/// Walks the events of a YAML text before anything is built of them: an alias can stand for more than memory holds.
class Guard : public YAML::EventHandler {
  public:
    explicit Guard(std::string const& file) : file_(file) {}
    void OnDocumentStart(YAML::Mark const&) override {}
    void OnDocumentEnd() override {}
    void OnNull(YAML::Mark const& mark, YAML::anchor_t anchor) override { refuse_anchor(mark, anchor); }
    void OnAlias(YAML::Mark const& mark, YAML::anchor_t) override { refuse_anchor(mark, 1); }
    void OnScalar(YAML::Mark const& mark, std::string const&, YAML::anchor_t anchor, std::string const&) override {
        refuse_anchor(mark, anchor);
    }
    void OnSequenceStart(YAML::Mark const& mark, std::string const&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, anchor);
    }
    void OnSequenceEnd() override { --depth_; }
    void OnMapStart(YAML::Mark const& mark, std::string const&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, anchor);
    }
    void OnMapEnd() override { --depth_; }

  private:
    void refuse_anchor(YAML::Mark const& mark, YAML::anchor_t anchor) const {
        if (anchor != 0)
            throw cluster::InputError(
                fmt::format("{}:{}: an anchor or alias (&name, *name); legal: plain values", file_, mark.line + 1));
    }
    void open(YAML::Mark const& mark, YAML::anchor_t anchor) {
        refuse_anchor(mark, anchor);
        if (++depth_ > kDeepest)
            throw cluster::InputError(
                fmt::format("{}:{}: nested deeper than the {} levels that are legal", file_, mark.line + 1, kDeepest));
    }
    static constexpr int kDeepest = 8;
    std::string const& file_;
    int depth_ = 0;
};

} // namespace

YAML::Node load_plain_yaml(std::string const& text, std::string const& name) {
    try {
        std::istringstream stream(text);
        YAML::Parser parser(stream);
        Guard guard(name);
        parser.HandleNextDocument(guard);
        return YAML::Load(text);
    } catch (YAML::Exception const& error) {
        throw cluster::InputError(fmt::format("{}:{}: not YAML: {}", name, error.mark.line + 1, error.msg));
    }
}

} // namespace trireme::framework
