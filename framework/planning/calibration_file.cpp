#include "framework/planning/calibration_file.hpp"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <sstream>

#include "cluster/error.hpp"
#include "framework/config/config_reader.hpp"

namespace trireme::framework::planning {

namespace {

namespace keys = config::keys;

constexpr double kMicro = 1e-6;
constexpr std::array kOperations{
    cluster::Collective::all_reduce,     cluster::Collective::all_gather,
    cluster::Collective::reduce_scatter, cluster::Collective::all_to_all,
    cluster::Collective::broadcast,      cluster::Collective::exchange};

/// Reads the words of one line of a table. `good` says whether all were such words.
class LineIn {
  public:
    explicit LineIn(std::string const& line) : in_(line) {}

    void word(std::string& value) { good_ = good_ && static_cast<bool>(in_ >> value); }
    void flag(bool& value, char const* yes, char const* no) {
        std::string text;
        word(text);
        value = text == yes;
        good_ = good_ && (text == yes || text == no);
    }
    void form(ProductForm& value) {
        std::string text;
        word(text);
        auto const names = names_of(value);
        auto const found = std::ranges::find(names, text);
        good_ = good_ && found != names.end();
        if (good_) value = static_cast<ProductForm>(found - names.begin());
    }
    void operation(cluster::Collective& value) {
        std::string text;
        word(text);
        auto const found = std::ranges::find_if(
            kOperations, [&](auto op) { return cluster::name_of(op) == text; });
        good_ = good_ && found != kOperations.end();
        if (good_) value = *found;
    }
    void count(std::int64_t& value) {
        std::string text;
        word(text);
        good_ = good_ && config::decode_plain(text, value) && value > 0;
    }
    /// `unit`: of the file. `least`: in base units.
    void number(double& value, double unit, double least) {
        std::string text;
        word(text);
        good_ = good_ && config::decode_plain(text, value) && std::isfinite(value);
        value *= unit;
        good_ = good_ && value >= least;
    }
    bool good() {
        std::string more;
        return good_ && !(in_ >> more);
    }

  private:
    std::istringstream in_;
    bool good_ = true;
};

/// Writes what LineIn reads.
class LineOut {
  public:
    void word(std::string const& value) { text_ += (text_.empty() ? "" : " ") + value; }
    void flag(bool value, char const* yes, char const* no) { word(value ? yes : no); }
    void form(ProductForm value) { word(names_of(value)[static_cast<std::size_t>(value)]); }
    void operation(cluster::Collective value) { word(cluster::name_of(value)); }
    void count(std::int64_t value) { word(std::to_string(value)); }
    void number(double value, double unit, double /*least*/) {
        word(fmt::format("{:.6g}", value / unit));
    }
    std::string const& text() const { return text_; }

  private:
    std::string text_;
};

/// Less than what any clock can tell, and more than nothing: logarithms are taken of it.
constexpr double kLeastSeconds = 1e-12;

template <typename Walk, typename Time>
requires std::same_as<std::remove_const_t<Time>, ProductTime>
void walk(Walk& w, Time& t) {
    w.word(t.dtype);
    w.form(t.shape.form);
    w.count(t.shape.rows);
    w.count(t.shape.inner);
    w.count(t.shape.columns);
    w.number(t.seconds, kMicro, kLeastSeconds);
}
template <typename Walk, typename Time>
requires std::same_as<std::remove_const_t<Time>, AttentionTime>
void walk(Walk& w, Time& t) {
    w.flag(t.kind.backward, "backward", "forward");
    w.flag(t.kind.causal, "causal", "full");
    w.flag(t.kind.dropout, "dropout", "plain");
    w.count(t.kind.sequence);
    w.count(t.kind.size);
    w.number(t.seconds, kMicro, kLeastSeconds);
}
template <typename Walk, typename Time>
requires std::same_as<std::remove_const_t<Time>, OperationTime>
void walk(Walk& w, Time& t) {
    w.word(t.name);
    w.word(t.dtype);
    w.number(t.bytes, 1, 1);
    w.number(t.seconds, kMicro, kLeastSeconds);
}
template <typename Walk, typename Time>
requires std::same_as<std::remove_const_t<Time>, CollectiveFit>
void walk(Walk& w, Time& t) {
    w.operation(t.op);
    w.count(t.ranks);
    w.count(t.nodes);
    w.number(t.latency, kMicro, 0);
    w.number(t.per_byte, 1e-9, 0);
    w.number(t.residual, 1, 0);
}
template <typename Walk, typename Time>
requires std::same_as<std::remove_const_t<Time>, CollectiveTime>
void walk(Walk& w, Time& t) {
    w.operation(t.op);
    w.count(t.ranks);
    w.count(t.nodes);
    w.number(t.bytes, 1, 1);
    w.number(t.seconds, kMicro, kLeastSeconds);
}

/// What the words of a line are, for people.
constexpr char const* kProductLine =
    "fp32, bf16 or fp64; nn, nt or tn; rows, inner, columns; microseconds";
constexpr char const* kAttentionLine = "forward or backward; causal or full; dropout or plain; "
                                       "sequence, head size; microseconds of a token and head";
constexpr char const* kOperationLine = "name, fp32 ..., bytes, microseconds";
constexpr char const* kFitLine = "call, ranks, nodes; latency in microseconds, ns of a byte, "
                                 "median of |fitted / measured - 1|";
constexpr char const* kCollectiveLine = "call, ranks, nodes, bytes, microseconds";

template <typename Time>
std::vector<Time> read_table(YAML::Node const& node, std::string const& file,
                             std::string const& key, char const* legal) {
    auto const fail = [&](YAML::Node const& at, std::string const& value) {
        throw cluster::InputError(fmt::format("{}:{}: calibration.{}: {}: legal: {}", file,
                                              at.Mark().line + 1, key, value, legal));
    };
    YAML::Node const table = node[key];
    if (!table) fail(node, "missing");
    if (!table.IsSequence()) fail(table, "no list");
    std::vector<Time> times;
    for (auto const& entry : table) {
        if (!entry.IsScalar()) fail(entry, "no text");
        LineIn line(entry.Scalar());
        walk(line, times.emplace_back());
        if (!line.good()) fail(entry, entry.Scalar());
    }
    return times;
}

template <typename Time>
std::string table_text(std::string const& key, char const* legal, std::vector<Time> const& times) {
    std::string text = fmt::format("  {}: # {}\n", key, legal);
    if (times.empty()) text = fmt::format("  {}: [] # {}\n", key, legal);
    for (auto const& time : times) {
        LineOut line;
        walk(line, time);
        text += fmt::format("    - {}\n", line.text());
    }
    return text;
}

} // namespace

Calibration read_calibration(YAML::Node const& node, std::string const& file) {
    if (!node.IsMap())
        throw cluster::InputError(
            fmt::format("{}:{}: calibration: legal: a mapping of keys to values, one line each, "
                        "indented",
                        file, node.Mark().line + 1));
    Calibration c;
    c.products = read_table<ProductTime>(node, file, "products", kProductLine);
    c.attention = read_table<AttentionTime>(node, file, "attention", kAttentionLine);
    c.operations = read_table<OperationTime>(node, file, "operations", kOperationLine);
    c.fits = read_table<CollectiveFit>(node, file, "fits", kFitLine);
    c.collectives = read_table<CollectiveTime>(node, file, "collectives", kCollectiveLine);
    YAML::Node plain = node; // the same tree, of which single values are left
    for (auto const* key : {"products", "attention", "operations", "fits", "collectives"})
        plain.remove(key);
    YAML::Node root(YAML::NodeType::Map);
    root["calibration"] = plain;
    keys::Reader reader(file, root, {});
    c.together = 0; // refuses a file that lacks it, whose steps would be predicted too fast
    reader.section("calibration", [&] {
        reader.field("source", c.source, keys::not_empty("where the numbers come from"));
        reader.field("threads", c.threads, keys::at_least<std::int64_t>(1));
        double launch = 0;
        reader.field("launch_us", launch, keys::not_negative());
        c.launch = launch * kMicro;
        reader.field("together", c.together, keys::positive());
        reader.field("overlap", c.overlap, keys::not_negative());
    });
    return c;
}

std::string to_yaml(Calibration const& c) {
    std::string text = fmt::format(
        "calibration:\n  source: {}\n  threads: {} # of a rank\n"
        "  launch_us: {:.4g} # of the host between two kernels\n"
        "  together: {:.4g} # a step's kernels, over the sum of each by itself\n"
        "  overlap: {:.4g} # of compute, which hides a collective\n",
        YAML::Dump(YAML::Node(c.source)), c.threads, c.launch / kMicro, c.together, c.overlap);
    text += table_text("products", kProductLine, c.products);
    text += table_text("attention", kAttentionLine, c.attention);
    text += table_text("operations", kOperationLine, c.operations);
    text += table_text("fits", kFitLine, c.fits);
    return text + table_text("collectives", kCollectiveLine, c.collectives);
}

} // namespace trireme::framework::planning
