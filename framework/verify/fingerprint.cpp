#include "framework/verify/fingerprint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/philox.hpp"
#include "cluster/thread_communicator.hpp"
#include "cluster/xxh3.hpp"
#include "data/json.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "framework/weights/whole_tensor.hpp"

namespace trireme::framework::verify {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kTokensPurpose = 0x66696e676572ULL; // "finger"
constexpr std::array<std::int64_t, 5> kLengths{7, 1, 13, 31, 3};
constexpr std::int64_t kMostLogits = 1024, kTokensPerMicroBatch = 2048;
constexpr char const* kRule =
    "largest |difference| of logits, mean, rms and loss <= bound * max(1, largest |logit|)";

std::int64_t draw(std::size_t sequence, std::int64_t place, std::int64_t end) {
    auto const key = cluster::philox_key(0, kTokensPurpose, sequence);
    return static_cast<std::int64_t>(
               cluster::philox(key, static_cast<std::uint64_t>(place), 0)[0]) %
           end;
}

/// Returns `count` numbers that `number(k)` returns, as a list.
Json list_of(std::int64_t count, auto const& number) {
    Json list = Json::array();
    for (std::int64_t k = 0; k < count; ++k) list.push_back(number(k));
    return list;
}

/// Returns the labels of sequence `i` of `length` tokens, as the head learns them.
Json fixed_labels(model::Config const& model, std::size_t i, std::int64_t length) {
    auto const head = model::traits_of(model.head);
    auto const token = [&](std::int64_t t) { return draw(i, t, model.vocabulary); };
    auto const label = [&](std::int64_t t) { return draw(i, -1 - t, model.outputs()); };
    auto const real = [&](std::int64_t k) {
        return static_cast<double>(draw(i, -1 - k, 4001)) / 1000.0 - 2.0;
    };
    switch (head.learns) {
    case data::Values::vocabulary: return list_of(length, token);
    case data::Values::labels:
        return head.rows == data::Per::sample ? Json(label(0)) : list_of(length, label);
    case data::Values::places: {
        auto const [first, last] = std::minmax({draw(i, -1, length), draw(i, -2, length)});
        return {first, last};
    }
    case data::Values::numbers: break; // no head learns them
    case data::Values::reals: return list_of(model.outputs(), real);
    }
    return Json::array();
}

/// {"input_ids", "labels"}: as `trireme verify --tokens` takes them.
Json fixed_tokens(model::Config const& model) {
    Json ids = Json::array(), labels = Json::array();
    for (std::size_t i = 0; i < kLengths.size(); ++i) {
        std::int64_t const length = std::min(kLengths[i], model.max_positions);
        ids.push_back(
            list_of(length, [&](std::int64_t t) { return draw(i, t, model.vocabulary); }));
        labels.push_back(fixed_labels(model, i, length));
    }
    return {{"input_ids", ids}, {"labels", labels}};
}

std::string hash_of(std::string const& name, pretrained::TensorEntry const& entry) {
    std::ifstream file(entry.file, std::ios::binary);
    file.seekg(entry.offset);
    std::vector<char> buffer(std::size_t{1} << 20);
    cluster::Xxh3 hash;
    for (std::int64_t left = entry.bytes; left > 0; left -= file.gcount()) {
        file.read(buffer.data(),
                  std::min<std::int64_t>(left, static_cast<std::int64_t>(buffer.size())));
        if (file.gcount() == 0)
            throw cluster::InputError(fmt::format("{}: {}: read error", entry.file, name));
        hash.update(buffer.data(), static_cast<std::size_t>(file.gcount()));
    }
    return hash.hex();
}

/// {file: {"sha256", "tensors": {name: xxh3}}}
Json hashes(std::string const& folder) {
    Json files;
    for (auto const& [name, entry] : pretrained::find_tensors(folder)) {
        Json& file = files[std::filesystem::path(entry.file).filename().string()];
        if (file.is_null()) file["sha256"] = cluster::sha256_of_file(entry.file);
        file["tensors"][name] = hash_of(name, entry);
    }
    return files;
}

Json to_json(Fingerprint const& fingerprint) {
    Json sequences = Json::array();
    for (auto const& s : fingerprint.sequences)
        sequences.push_back({{"mean", s.mean}, {"rms", s.rms}, {"last_token", s.last}});
    return {{"loss", fingerprint.loss}, {"logits", sequences}};
}

/// The weights that the folder should hold: rounded to its dtypes, placed as the run has them.
void fill(parallel::ParameterStore& store, model::Config const& model,
          pretrained::ParameterValues const& values, std::string const& folder) {
    auto const entries = pretrained::find_tensors(folder);
    for (auto const& tensor : pretrained::hf_tensors(model))
        for (auto const& part : tensor.parts)
            if (part.from == 0)
                weights::put_whole(
                    store.at(part.parameter), weights::Kept::weight,
                    values(part.parameter)
                        .to(pretrained::weight_dtype(tensor.name, entries.at(tensor.name))));
}

Fingerprint compute(model::Config const& model, pretrained::ParameterValues const& values,
                    std::string const& folder, data::Dataset const& set) {
    auto const world = cluster::make_thread_world(1, {});
    parallel::Mesh const mesh(*world[0], {});
    parallelize::ParallelModel parallel(model, mesh, {}, {}, false);
    fill(parallel.store(), model, values, folder);
    parallel.refresh();
    auto step = evaluation::make_step(set, {set.size(), kTokensPerMicroBatch, 1}, *world[0]);
    parallel.load(std::move(step.passes));
    parallel.engine().forward(step.micro_batches);
    return summarize(evaluation::GatheredResults(parallel.results(), set, model, *world[0]),
                     set.size(), model.outputs());
}

double largest(Fingerprint const& fingerprint) {
    double most = 1;
    for (auto const& s : fingerprint.sequences)
        for (float const x : s.last) most = std::max(most, std::abs(static_cast<double>(x)));
    return most;
}

/// The largest difference; not a number as soon as one is.
class Largest {
  public:
    void see(double a, double b) {
        double const d = std::abs(a - b);
        if (!std::isnan(value_) && !(d <= value_)) value_ = d;
        ++count_;
    }
    double value() const { return value_; }
    std::int64_t count() const { return count_; }

  private:
    double value_ = 0;
    std::int64_t count_ = 0;
};

} // namespace

Fingerprint summarize(evaluation::GatheredResults const& results, std::int64_t sequences,
                      std::int64_t width) {
    Fingerprint fingerprint{results.loss(), {}};
    for (std::int64_t i = 0; i < sequences; ++i) {
        std::vector<float> const logits = results.logits(i);
        if (logits.empty()) continue;
        SequenceLogits& s = fingerprint.sequences.emplace_back();
        for (float const x : logits) {
            s.mean += static_cast<double>(x);
            s.rms += static_cast<double>(x) * static_cast<double>(x);
        }
        s.mean /= static_cast<double>(logits.size());
        s.rms = std::sqrt(s.rms / static_cast<double>(logits.size()));
        auto const stride = static_cast<std::size_t>((width + kMostLogits - 1) / kMostLogits);
        for (std::size_t v = logits.size() - static_cast<std::size_t>(width); v < logits.size();
             v += stride)
            s.last.push_back(logits[v]);
    }
    return fingerprint;
}

void write_fingerprint(model::Config const& model, pretrained::ParameterValues const& values,
                       std::string const& folder) {
    Json json = fixed_tokens(model);
    auto const set = make_dataset(to_token_file(kFingerprintFile, json), model);
    Fingerprint const fingerprint = compute(model, values, folder, *set);
    if (!std::isfinite(fingerprint.loss))
        throw cluster::JobError(fmt::format(
            "{}: the model's loss on fixed tokens is {}: its weights are not finite, or too large; "
            "no fingerprint was written; another checkpoint may be sound: --checkpoint NAME",
            folder, cluster::unsigned_nan(fingerprint.loss)));
    json.update(to_json(fingerprint));
    json["rule"] = kRule;
    for (auto const& [compute, bound] : kFingerprintBounds) json["bounds"][compute] = bound;
    json["files"] = hashes(folder);
    cluster::write_file(folder + "/" + kFingerprintFile, json.dump() + "\n");
}

static std::string describe_change(std::string const& path, nlohmann::json const& hashes) {
    std::vector<std::string> changed;
    auto const now = pretrained::read_safetensors_header(path);
    for (auto const& [name, hash] : hashes.items())
        if (auto const found = now.find(name);
            found == now.end() || hash_of(name, found->second) != hash)
            changed.push_back(name);
    return fmt::format("{} is not the file that was exported: {}", path,
                       changed.empty()
                           ? "its tensors are the same, its header is not"
                           : fmt::format("tensor {} differs{}", changed[0],
                                         changed.size() > 1
                                             ? fmt::format(", and {} more", changed.size() - 1)
                                             : ""));
}

StoredFingerprint::StoredFingerprint(std::string const& folder)
    : folder_(folder), file_(read_fingerprint(folder)) {}

void StoredFingerprint::compare_files(Replay& replay) const {
    for (auto const& [file, expected] : file_.json.at("files").items()) {
        std::string const path = folder_ + "/" + file;
        if (file.find('/') != std::string::npos || !cluster::is_there(path)) {
            replay.differences.push_back(path + " is missing");
            continue;
        }
        std::string const sha256 = cluster::sha256_of_file(path);
        if (sha256 == expected.at("sha256")) {
            replay.compared.push_back(fmt::format("{}: sha256 {} as exported", path, sha256));
            continue;
        }
        replay.compared.push_back(fmt::format("{}: sha256 {}, exported with {}", path, sha256,
                                              expected.at("sha256").get<std::string>()));
        replay.differences.push_back(describe_change(path, expected.at("tensors")));
    }
}

namespace {

Largest difference_of_logits(Fingerprint const& expected, Fingerprint const& found,
                             std::string const& folder) {
    Largest logits;
    for (std::size_t i = 0; i < expected.sequences.size(); ++i) {
        SequenceLogits const &a = expected.sequences[i], &b = found.sequences.at(i);
        if (a.last.size() != b.last.size())
            throw cluster::InputError(fmt::format("{}/{}: logits[{}]: {} values; legal: {}", folder,
                                                  kFingerprintFile, i, a.last.size(),
                                                  b.last.size()));
        for (std::size_t v = 0; v < a.last.size(); ++v)
            logits.see(static_cast<double>(a.last[v]), static_cast<double>(b.last[v]));
        logits.see(a.mean, b.mean);
        logits.see(a.rms, b.rms);
    }
    return logits;
}

} // namespace

void StoredFingerprint::compare_numbers(Fingerprint const& found, parallelize::Compute compute,
                                        Replay& replay) const {
    Fingerprint const& expected = file_.expected;
    Largest const logits = difference_of_logits(expected, found, folder_);
    Largest loss;
    loss.see(expected.loss, found.loss);
    auto const* name = kFingerprintBounds[static_cast<std::size_t>(compute)].first;
    double const bound = file_.json.at("bounds").at(name).get<double>() * largest(expected);
    auto const judge = [&](std::string const& what, Largest const& difference) {
        std::string const line = fmt::format("{}: largest difference {:.3g}, bound {:.3g}", what,
                                             difference.value(), bound);
        replay.compared.push_back(line);
        if (!(difference.value() <= bound)) replay.differences.push_back(line);
    };
    judge(fmt::format("logits ({} numbers of {} sequences)", logits.count(),
                      expected.sequences.size()),
          logits);
    judge("loss", loss);
}

} // namespace trireme::framework::verify
