// Tensors whose memory is a stand-in GPU's: libtorch takes them for the CPU's and computes on them
// at once, everything else takes them for the device's.
#pragma once

#include <cstdint>

namespace trireme::test {

/// While one lives, the calling thread is a rank whose tensors lie on `stream`'s device: allocated
/// and freed in the order of the stream, given to collectives as device memory
/// (parallel::place_of), computed on by the thread in the stream's place (standin::compute_on). The
/// reads and writes of each of libtorch's operations, and of AdamW's kernel, are checked like the
/// work of any stream (standin::computed). All of them must go before it does.
class TensorsOnStandin {
  public:
    explicit TensorsOnStandin(void* stream);
    ~TensorsOnStandin();
    TensorsOnStandin(TensorsOnStandin const&) = delete;
    TensorsOnStandin& operator=(TensorsOnStandin const&) = delete;

  private:
    std::uint64_t observer_; ///< of operations
};

} // namespace trireme::test
