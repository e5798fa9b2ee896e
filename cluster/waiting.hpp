// How long this thread has waited for other ranks: what a rank did itself is the rest of its time.
#pragma once

namespace trireme::cluster {

/// Seconds this thread has spent in Work::wait so far. Local.
double seconds_waited();

} // namespace trireme::cluster
