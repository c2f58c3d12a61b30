// What `pairfs up` was asked for, checked against what is there. Changes nothing. One thread.
#pragma once

#include "cli/create.h"

namespace pairfs::cli {

struct UpRequest {
  ClusterPlan plan;        // its directory is canonical
  std::string mount_text;  // --mount; empty: as before, else the default
  std::string mount_options;
  bool no_mount = false;
  bool restart = true;
  // Which options of the plan were given, so that they must fit a cluster that exists.
  bool gave_pairs = false, gave_routers = false, gave_elements = false, gave_raid = false,
       gave_reach = false, gave_transport = false, gave_link = false;
};

struct UpPlan {
  DirectoryKind kind;              // kEmpty and kUnfinished: to be created
  std::optional<Cluster> cluster;  // when it exists
  SupervisorSettings settings;     // as they shall be
};

Outcome<UpPlan> check_up(const UpRequest& request);

}  // namespace pairfs::cli
