#include "fuse/fuse_request.h"

#include <cerrno>
#include <vector>

namespace pairfs {

FuseRequest::FuseRequest(fuse_req_t req, CommandCaller& caller, Interrupts& interrupts,
                         LookupHolds& holds)
    : req_(req),
      context_(*fuse_req_ctx(req)),
      caller_(caller),
      interrupts_(interrupts),
      holds_(holds) {}

FuseRequest::~FuseRequest() {
  if (!answered()) error(EIO);
}

Credentials FuseRequest::credentials() const {
  Credentials out;
  out.uid = context_.uid;
  out.gid = context_.gid;
  if (out.uid == 0 || answered()) return out;
  std::vector<gid_t> groups(32);
  int count = fuse_req_getgroups(req_, static_cast<int>(groups.size()), groups.data());
  if (count > static_cast<int>(groups.size())) {
    groups.resize(static_cast<size_t>(count));
    count = fuse_req_getgroups(req_, count, groups.data());
  }
  if (count <= 0) return out;  // the caller is gone, or in a namespace out of sight
  groups.resize(std::min(groups.size(), static_cast<size_t>(count)));
  out.groups = CappedList<uint32_t, 65536>(groups.begin(), groups.end());
  return out;
}

// ---- interruption ----

void FuseRequest::watch() {
  if (watched_ || answered()) return;
  watched_ = true;
  fuse_req_interrupt_func(req_, &FuseRequest::interrupted, this);
}

void FuseRequest::interrupted(fuse_req_t, void* self) {
  auto* request = static_cast<FuseRequest*>(self);
  request->interrupts_.interrupted(request->shared_from_this());
}

void FuseRequest::cancel_lock() {
  if (!std::exchange(blocking_lock_, false)) return;
  caller_.core().cancel_lock(ticket_, caller_.now());
}

void FuseRequest::abandon() {
  cancel_lock();
  const auto keep = shared_from_this();
  if (!must_finish_ && caller_.core().drop_if_unsent(ticket_, caller_.now()))
    caller_.forget(ticket_);
  error(EINTR);
}

// ---- answers ----

// The request is libfuse's again, which frees it with the answer.
fuse_req_t FuseRequest::take() { return std::exchange(req_, nullptr); }

bool FuseRequest::error(int errno_value) {
  if (answered()) return false;
  if (errno_value == ESTALE) holds_.told_stale(thread(), caller_.now());
  return fuse_reply_err(take(), errno_value) == 0;
}
bool FuseRequest::entry(const fuse_entry_param& entry) {
  return !answered() && fuse_reply_entry(take(), &entry) == 0;
}
bool FuseRequest::created(const fuse_entry_param& entry, const fuse_file_info& file) {
  return !answered() && fuse_reply_create(take(), &entry, &file) == 0;
}
bool FuseRequest::opened(const fuse_file_info& file) {
  return !answered() && fuse_reply_open(take(), &file) == 0;
}
bool FuseRequest::attributes(const struct stat& attributes) {
  return !answered() && fuse_reply_attr(take(), &attributes, 0) == 0;
}
bool FuseRequest::data(BytesView bytes) {
  return !answered() && fuse_reply_buf(take(), bytes.data(), bytes.size()) == 0;
}
bool FuseRequest::written(size_t count) {
  return !answered() && fuse_reply_write(take(), count) == 0;
}
bool FuseRequest::link_target(const Bytes& target) {
  return !answered() && fuse_reply_readlink(take(), target.c_str()) == 0;
}
bool FuseRequest::filesystem(const struct statvfs& statistics) {
  return !answered() && fuse_reply_statfs(take(), &statistics) == 0;
}
bool FuseRequest::xattr_size(size_t size) {
  return !answered() && fuse_reply_xattr(take(), size) == 0;
}
bool FuseRequest::lock(const struct flock& lock) {
  return !answered() && fuse_reply_lock(take(), &lock) == 0;
}
bool FuseRequest::offset(uint64_t offset) {
  return !answered() && fuse_reply_lseek(take(), static_cast<off_t>(offset)) == 0;
}

}  // namespace pairfs
