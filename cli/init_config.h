// The annotated TOML files that `pairfs init` writes: every key that an operator may want to set,
// with its default, unit and meaning. No I/O. Any thread.
#pragma once

#include "cli/init_plan.h"

namespace pairfs::cli {

std::string annotated_router(const InitRequest& request, const InitPlan& plan,
                             const RouterInfo& router);
std::string annotated_node(const InitRequest& request, const InitPlan& plan, const NodeInfo& node);
std::string annotated_mount(const InitPlan& plan);
// Where it is told to listen, which a host's name cannot say: every address of this machine then.
std::string listen_endpoint(const std::string& endpoint);

}  // namespace pairfs::cli
