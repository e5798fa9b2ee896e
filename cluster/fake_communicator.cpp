#include "cluster/fake_communicator.hpp"

#include <cstdlib>

#include "cluster/error.hpp"

namespace trireme::cluster {

namespace {

class LateOperation : public Operation {
  public:
    explicit LateOperation(int looks) : left_(looks) {}
    bool test() override { return --left_ < 0; }
    void awaited() override { left_ = 0; }

  private:
    int left_;
};

class FakeCommunicator : public Communicator {
  public:
    FakeCommunicator(int rank, int size, std::string group, CommunicatorOptions options,
                     SplitAnswer answer, int looks)
        : Communicator(rank, size, std::move(group), std::move(options)),
          answer_(std::move(answer)), looks_(looks) {}

  private:
    std::unique_ptr<Operation> do_collective(Call const&) override {
        return looks_ > 0 ? std::make_unique<LateOperation>(looks_) : nullptr;
    }
    std::unique_ptr<Communicator> do_split(int color, int key, std::string group,
                                           CommunicatorOptions options) override {
        if (!answer_ && size() > 1)
            throw JobError("a fake communicator cannot know its splits: give it an answer");
        FakeSplit const part = answer_ ? answer_(color, key, group) : FakeSplit{0, 1};
        return std::make_unique<FakeCommunicator>(part.rank, part.size, std::move(group),
                                                  std::move(options), answer_, looks_);
    }
    void do_abort(int code) override { std::_Exit(code); }

    SplitAnswer answer_;
    int looks_;
};

} // namespace

std::unique_ptr<Communicator> make_fake_world(int rank, int size,
                                              CommunicatorOptions const& options,
                                              SplitAnswer answer, int looks) {
    return std::make_unique<FakeCommunicator>(rank, size, "world", options, std::move(answer),
                                              looks);
}

} // namespace trireme::cluster
