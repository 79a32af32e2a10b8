// _ml/trained_models: models, their deployments, inference, statistics.
#include "tools/serve/ml_models.h"

namespace penstock::serve {

void add_ml_routes(Router& router, Node& node) {
    const auto models = std::make_shared<Models>(node);
    models->publish_aliases();
    models->registry().start_all(*node.deployments);
    add_model_routes(router, models);
    add_deployment_routes(router, models);
    add_infer_routes(router, models);
    add_model_stats_routes(router, models);
}

}  // namespace penstock::serve
