#include "engine/pipeline/pipeline.h"

namespace penstock::pipeline {

void BlockDeleter::operator()(Block* block) const {
    delete block;
}
void AsyncProcessorDeleter::operator()(AsyncProcessor* processor) const {
    delete processor;
}

}  // namespace penstock::pipeline
