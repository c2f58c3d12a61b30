// The node's part in the cluster's shape: it follows the cluster's record and policy, makes the
// record say where slices are, and begins the moves of a rebalancing.
#include <algorithm>

#include "common/codec.h"
#include "common/logging.h"
#include "common/slice_plan.h"
#include "node/node_loop.h"

namespace pairfs {
namespace {
constexpr auto kPublishPeriod = std::chrono::seconds(2);  // beside at once, when something changed
constexpr auto kRebalancePeriod = std::chrono::milliseconds(100);
constexpr auto kSwapMax = std::chrono::seconds(2);
constexpr size_t kMovesAtOnce = 4;  // of one volume
}  // namespace

void NodeLoop::take_cluster() {
  bool changed = false;
  if (const MapEntry* entry = map_->find(kClusterKey);
      entry != nullptr && entry->version > cluster_version_) {
    if (auto cluster = decode<ClusterMap>(entry->value)) {
      cluster_ = std::move(*cluster);
      cluster_version_ = entry->version;
      changed = true;
    }
  }
  if (const MapEntry* entry = map_->find(kPolicyKey);
      entry != nullptr && entry->version > policy_version_) {
    if (auto policy = decode<ClusterPolicy>(entry->value)) {
      policy_ = std::move(*policy);
      policy_version_ = entry->version;
      changed = true;
    }
  }
  if (!changed) return;
  for (auto& [id, volume] : volumes_) volume->on_cluster();
  rebalance_at_ = now();
}

// An operator may have put the partner on another machine, under its name.
void NodeLoop::follow_partner() {
  const NodeInfo* partner = cluster_.partner_of(config_.name);
  if (partner == nullptr) return;
  try {
    if (link_out_->endpoint() != partner->link_endpoint) {
      Socket link = Socket::client(context_, partner->link_endpoint);
      log_info("partner.moved", "partner={} endpoint={}", partner->name, partner->link_endpoint);
      poller_.remove(*link_out_);
      link_out_ = std::move(link);
      poller_.add(*link_out_);
      for (auto& [id, volume] : volumes_) volume->on_link(false);
    }
    if (element_client_ != nullptr && partner_elements_at_ != partner->element_endpoint) {
      element_client_->move_to(context_, partner->element_endpoint);
      partner_elements_at_ = partner->element_endpoint;
    }
  } catch (const std::runtime_error& problem) {
    log_error("partner.unusable_endpoint", "partner={} error=\"{}\"", partner->name,
              problem.what());
  }
}

void NodeLoop::swap_cluster_record(const char* key, uint64_t version, Bytes value) {
  swapping_cluster_ = true;
  MapSwap request;
  request.key = Bytes(key);
  request.expected_version = version;
  request.value = std::move(value);
  map_->swap(std::move(request), kSwapMax, [this](MapClient::SwapOutcome, const MapEntry&) {
    swapping_cluster_ = false;
    publish_at_ = now();  // whatever came of it, the map is looked at again
  });
}

// A volume's own state says which slices it has; the map follows.
void NodeLoop::publish_slices() {
  if (swapping_cluster_) return;
  const bool due = now() >= publish_at_;
  bool changed = false;
  for (auto& [id, volume] : volumes_)
    changed |= volume->has_executor() && published_[id] != volume->executor()->slices_version();
  if (!due && !changed) return;
  publish_at_ = now() + kPublishPeriod;
  ClusterMap next = cluster_;
  size_t moved = 0;
  for (auto& [id, volume] : volumes_) {
    if (!volume->has_executor()) continue;
    published_[id] = volume->executor()->slices_version();
    const std::vector<Slice> mapped = cluster_.slices_of(id);
    for (const Slice slice : volume->executor()->owned_slices()) {
      if (std::binary_search(mapped.begin(), mapped.end(), slice)) continue;
      next.assign(slice, id);
      ++moved;
    }
  }
  if (moved == 0) return;
  log_info("map.slices", "moved={}", moved);
  swap_cluster_record(kClusterKey, cluster_version_, encode(next));
}

void NodeLoop::rebalance() {
  if (now() < rebalance_at_ || policy_.rebalance != ClusterPolicy::kRunning) return;
  rebalance_at_ = now() + kRebalancePeriod;
  const std::vector<SliceMove> plan = plan_moves(cluster_, policy_);
  std::map<VolumeId, std::vector<std::pair<Slice, VolumeId>>> begin;
  for (const SliceMove& move : plan)
    if (auto& moves = begin[move.from]; moves.size() < kMovesAtOnce)
      moves.emplace_back(move.slice, move.to);
  for (auto& [id, volume] : volumes_)
    if (volume->has_executor() && volume->executor()->slice_progress().moving < kMovesAtOnce)
      volume->give_slices(begin[id]);
  // One node says that all is done.
  VolumeRuntime* root = find_volume(cluster_.volume_of(0));
  if (!plan.empty() || swapping_cluster_ || root == nullptr || !root->has_executor()) return;
  ClusterPolicy done = policy_;
  done.rebalance = ClusterPolicy::kOff;
  log_info("rebalance.done", "map_version={}", map_->map_version());
  swap_cluster_record(kPolicyKey, policy_version_, encode(done));
}

}  // namespace pairfs
