// What a daemon may listen on. There is no authentication yet, so that only this machine may reach
// a daemon, unless the operator says insecure_network = true. Any thread.
#pragma once

#include <optional>
#include <string>

namespace pairfs {

// nullopt: `endpoint` may be bound. Else a sentence that says why not and what to do. Accepted:
//   tcp://127.x.y.z:PORT (PORT may be *), ipc:///absolute/path under 107 bytes, inproc://name;
//   with insecure_network also tcp:// with any other address, an interface's name, or *.
std::optional<std::string> refuse_listen(const std::string& endpoint, bool insecure_network);

}  // namespace pairfs
