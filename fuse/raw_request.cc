#include "fuse/raw_request.h"

#include <linux/fuse.h>

#include <cstring>

namespace pairfs {
namespace {

// The request's argument; false when the request is another one or too short.
template <class T>
bool read_argument(BytesView request, uint32_t opcode, T* argument) {
  fuse_in_header header;
  if (request.size() < sizeof header + sizeof *argument) return false;
  std::memcpy(&header, request.data(), sizeof header);
  std::memcpy(argument, request.data() + sizeof header, sizeof *argument);
  return header.opcode == opcode;
}

}  // namespace

bool asks_to_kill_privileges(BytesView request) {
  fuse_write_in write;
  if (read_argument(request, FUSE_WRITE, &write))
    return (write.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
  fuse_setattr_in setattr;
  if (read_argument(request, FUSE_SETATTR, &setattr))
    return (setattr.valid & FATTR_KILL_SUIDGID) != 0;
  return false;
}

bool offers_kill_privileges(BytesView request) {
  // An old kernel's INIT is shorter than today's structure.
  struct {
    uint32_t major, minor, max_readahead, flags;
  } init;
  return read_argument(request, FUSE_INIT, &init) && (init.flags & FUSE_HANDLE_KILLPRIV_V2) != 0;
}

void accept_kill_privileges(iovec* reply, int count) {
  if (count < 2 || reply[1].iov_len < offsetof(fuse_init_out, flags) + sizeof(uint32_t)) return;
  auto* init = static_cast<fuse_init_out*>(reply[1].iov_base);
  init->flags |= FUSE_HANDLE_KILLPRIV_V2;
  init->flags &= ~static_cast<uint32_t>(FUSE_HANDLE_KILLPRIV);
}

}  // namespace pairfs
