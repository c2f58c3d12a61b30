// VolumeRuntime's care for the elements: what becomes of them is logged, and maintenance gets its
// share of time between consistency points.
#include "common/codec.h"
#include "node/executor/check_volume.h"
#include "node/store/row_table.h"
#include "node/volume_runtime.h"

namespace pairfs {
namespace {
constexpr auto kMaintenanceSlice = std::chrono::milliseconds(20);
}  // namespace

// What became of an element is in both logs before anything else is answered.
void VolumeRuntime::note_elements() {
  if (store_ == nullptr || !core_.may_execute()) return;
  const uint64_t version = store_->elements_version();
  if (version == logged_elements_) return;
  logged_elements_ = version;
  LogRecord record;
  record.epoch = core_.record_epoch();
  record.op = ElementsChanged::kOp;
  record.request.slot = kUnslotted;
  record.body = SharedBytes::from(encode(ElementsChanged{store_->group_record()}));
  append(std::move(record));
  elements_gate_ = log_->last();
  want_durable_ = true;
}

namespace {
const char* const kAnotherExecutor = "The volume has another executor now; ask again.";
}  // namespace

void VolumeRuntime::change_elements(ElementWish wish, std::function<void(std::string)> done) {
  if (store_ == nullptr || !core_.may_execute()) {
    done("This node does not execute the volume.");
    return;
  }
  auto why = std::make_shared<std::string>();
  jobs_.push_back({[wish = std::move(wish), why](Maintenance& work) { *why = work.change(wish); },
                   [this, why, done = std::move(done)](bool carried_out) {
                     if (!carried_out) return done(kAnotherExecutor);
                     if (!why->empty()) return done(*why);
                     note_elements();
                     sync([done](bool durable) { done(durable ? "" : kAnotherExecutor); });
                   }});
  maintenance_at_ = services_.now();
}

void VolumeRuntime::check(bool repair, std::function<void(std::string, Checked)> done) {
  if (store_ == nullptr || !core_.may_execute()) {
    done("This node does not execute the volume.", {});
    return;
  }
  auto checked = std::make_shared<Checked>();
  jobs_.push_back({[repair, checked](Maintenance& work) {
                     checked->findings = work.check(repair);
                     try {
                       const auto state = work.last_state();
                       for (const std::string& problem : check_volume(*state))
                         checked->findings.push_back({"tree", problem, false});
                     } catch (const RowsUnreadable& unreadable) {
                       checked->findings.push_back({"lost", unreadable.what(), false});
                     }
                   },
                   [checked, done = std::move(done)](bool carried_out) {
                     done(carried_out ? "" : kAnotherExecutor, std::move(*checked));
                   }});
  maintenance_at_ = services_.now();
}

void VolumeRuntime::consider_maintenance() {
  if (maintaining_ || checkpointing_ || store_ == nullptr || !core_.may_execute() ||
      (services_.now() < maintenance_at_ && !room_watch_.wants_maintenance()))
    return;
  const std::shared_ptr<Maintenance> work = store_->maintenance();
  maintenance_at_ = services_.now() + kMaintenancePeriod;
  if (work == nullptr) return;
  maintaining_ = true;
  room_watch_.maintenance_began();
  auto jobs = std::make_shared<std::deque<Job>>(std::move(jobs_));
  jobs_.clear();
  auto more = std::make_shared<bool>(false);
  services_.run_on_worker(
      [work, jobs, more] {
        for (const Job& job : *jobs) job.work(*work);
        *more = work->run(kMaintenanceSlice);
      },
      [this, jobs, more, began = services_.now(), life = life_] {
        const bool carried_out = life == life_;
        if (carried_out) {
          maintaining_ = false;
          room_watch_.maintenance_ended(store_->status().space.garbage_bytes);
          store_room_at_ = {};
          next_housekeeping_ = services_.now();  // a consistency point may have waited
          // Commands keep three quarters of the time, when there are any.
          const Duration took = services_.now() - began;
          const bool busy = executed_ - executed_at_maintenance_ > 2;
          executed_at_maintenance_ = executed_;
          const Duration pause = !*more ? Duration(kMaintenancePeriod) : busy ? took * 3 : took / 8;
          maintenance_at_ = services_.now() + (jobs_.empty() ? pause : Duration(0));
          note_elements();
        }
        for (const Job& job : *jobs) job.done(carried_out);
      });
}

}  // namespace pairfs
