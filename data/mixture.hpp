// Several data sets as one, in shares that a configuration gives.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/apportionment.hpp"
#include "data/loader.hpp"
#include "data/section.hpp"

namespace trireme::data {

struct Manifest;

/// Samples of all sources end to end: sample i of source s is sample first(s) + i. Which source a
/// place of the endless order belongs to is an Apportionment; within its places each source has
/// the order that it would have alone, keyed by the seed and the place of the source in the list,
/// where the first one has the seed itself.
class Mixture : public Dataset {
  public:
    struct Part {
        std::string name;
        std::shared_ptr<Dataset const> set;
    };
    /// `parts` agree (check_agree). `stages`: from places of the order on. Throws InputError naming
    /// a part that is empty.
    Mixture(std::vector<Part> parts, std::vector<Apportionment::Stage> const& stages);

    std::size_t count() const { return parts_.size(); }
    Part const& part(std::size_t source) const { return parts_.at(source); }
    /// The source of a sample, or of a plan's id of it.
    std::size_t source_of(std::int64_t id) const;
    /// Samples of each source among the first `places` of the order. One thread.
    std::vector<std::int64_t> drawn(std::int64_t places) const { return order_.drawn(places); }

    std::int64_t size() const override { return ends_.back(); }
    std::int64_t length(std::int64_t id) const override;
    std::int64_t trained(std::int64_t id) const override;
    std::vector<std::int32_t> values_of(std::int64_t id, TaskColumn const& column) const override;
    std::int32_t class_of(std::int64_t id) const override;
    std::int64_t in_epoch(std::int64_t sample, std::int64_t epoch) const override;
    Visit visit(std::uint64_t seed, std::int64_t cursor) const override;
    std::int64_t longest() const override;
    std::string const& fingerprint() const override { return fingerprint_; }
    std::vector<std::string> const& label_names() const override;
    std::string source(std::int64_t sample) const override;
    std::int64_t vocabulary() const override;
    std::int64_t segments() const override;
    TaskSchema const& task() const override;
    void verify(int part, int parts) const override;
    void verify_samples(std::int64_t first, std::int64_t end) const override;
    MicroBatch read(std::vector<std::int64_t> const& ids,
                    std::int64_t token_multiple) const override;

  private:
    struct Inner {
        Dataset const* set;
        std::int64_t id; ///< of the sample in its own set
    };
    Inner inner(std::int64_t id) const;
    std::int64_t first(std::size_t source) const { return ends_.at(source); }

    std::vector<Part> parts_;
    std::vector<std::int64_t> ends_{0}; ///< where each source begins, and the size of all
    Apportionment order_;
    std::string fingerprint_; ///< over those of the parts, in their order
};

/// Throws InputError naming both data sets if they cannot be learned from together: of another task
/// (but for language modelling and generation, which learn alike), other labels or another
/// tokenizer.
void check_agree(std::string const& name, Manifest const& manifest, std::string const& other_name,
                 Manifest const& other);

/// Stages of the sources of a section that was read by framework/config, over sets of these sizes,
/// `samples` a step.
std::vector<Apportionment::Stage>
stages_of(Section const& section, std::vector<std::int64_t> const& sizes, std::int64_t samples);

} // namespace trireme::data
